//! What a document is to become, and the update that makes it so.

use bytes::Bytes;
use fanwire_proto::Position;
use serde_json::Value;

use super::merging::{NoSpace, NoState, Workspace, state_of};
use crate::{
    document::{
        CannotRead, content,
        edit::{self, CannotEdit, Content},
    },
    topic::Updates,
};

/// Why there is no update.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotChange {
    /// The document's updates are not made one.
    #[error(transparent)]
    NoState(#[from] NoState),
    /// It cannot be read, or cannot become that.
    #[error(transparent)]
    Uneditable(#[from] CannotEdit),
}

impl From<NoSpace> for CannotChange {
    fn from(error: NoSpace) -> Self {
        Self::NoState(error.into())
    }
}

impl From<CannotRead> for CannotChange {
    fn from(error: CannotRead) -> Self {
        Self::Uneditable(error.into())
    }
}

/// What a document is to become.
#[derive(Clone, Debug)]
pub enum NewContent {
    /// What an update makes.
    State(Bytes),
    /// A text, map or list for each name.
    Json(serde_json::Map<String, Value>),
    /// A text in one root; without a name, in the only one there is, or in `text`.
    Text(Option<String>, String),
}

/// When a document is to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Whatever it is.
    Always,
    /// If nothing was ever written to it.
    IfNew,
    /// If it stands here.
    IfAt(Position),
}

impl Condition {
    /// Whether it holds; otherwise where the document stands.
    pub fn check(self, there: &Updates) -> Result<(), Position> {
        let holds = match self {
            Self::Always => true,
            Self::IfNew => there.updates.is_empty(),
            Self::IfAt(position) => position == there.position,
        };
        if holds { Ok(()) } else { Err(there.position) }
    }
}

/// What has to be published so that a document becomes something else; `None` for nothing. `client` is whose edit it is.
pub fn update_to(
    there: &Updates,
    new: &NewContent,
    client: u64,
    space: &Workspace,
) -> Result<Option<Bytes>, CannotChange> {
    // Of what has gaps only the whole part can be read, and that is what an edit is made on.
    let state = state_of(there, space)?;
    let now = [state.as_ref()];
    let _held = match new {
        NewContent::State(wanted) => space.to_read(&[&state, wanted])?,
        NewContent::Json(_) | NewContent::Text(..) => space.to_read(&now)?,
    };
    let update = match new {
        // A first content stays as it is, so that bringing it twice is bringing it once.
        NewContent::State(wanted) if there.updates.is_empty() => Some(wanted.to_vec()),
        NewContent::State(wanted) => edit::edit(&now, &Content::Updates(&[wanted]), client)?,
        NewContent::Json(roots) => edit::edit(&now, &Content::Json(roots), client)?,
        NewContent::Text(root, text) => {
            let root = root_or_only(root.clone(), &now)?;
            edit::edit(&now, &Content::Text(&root, text), client)?
        }
    };
    Ok(update.map(Into::into))
}

/// Where text is looked for if nobody says where.
const DEFAULT_ROOT: &str = "text";

/// A root; without a name the only one there is, or `text`.
pub fn root_or_only(root: Option<String>, updates: &[&[u8]]) -> Result<String, CannotRead> {
    if let Some(root) = root {
        return Ok(root);
    }
    let roots = content::json(updates)?;
    let mut names = roots.as_object().into_iter().flat_map(|roots| roots.keys());
    Ok(match (names.next(), names.next()) {
        (Some(only), None) => only.clone(),
        _ => DEFAULT_ROOT.to_owned(),
    })
}
