//! How much memory work on updates takes, told from the updates before it begins: a struct of three bytes is a hundred times as
//! large once it has been read.

use super::{
    item::{Body, Content, Item, Struct},
    lib0::{Malformed, Reader},
    places::Place,
    update,
};

/// Bytes for each struct that is merged or compared: itself, in a list that may be half empty, what it is in, what is known of it
/// elsewhere, and the clocks that it brings and asks for.
const MERGED_STRUCT: usize = 2 * size_of::<Struct<'_>>() + size_of::<Place<'_>>() + 96;

/// Bytes for each struct of a document that is read or changed: the same, its links, and a type or a value of its own.
const READ_STRUCT: usize = 2 * MERGED_STRUCT + 512;

/// How many times as large values become that are read: each is one byte at least, and a map of one entry some hundred.
const READ_VALUES: usize = 64;

/// How many times as large text and everything else becomes, which is copied, put into an answer and written.
const COPIES: usize = 4;

#[derive(Default)]
struct Found {
    structs: usize,
    values: usize,
    bytes: usize,
}

impl Found {
    fn in_all(updates: &[&[u8]]) -> Result<Self, Malformed> {
        let mut all = Self::default();
        for update in updates {
            all.bytes += update.len();
            update::structs(&mut Reader::new(update), |_, found| {
                all.structs += 1;
                if let Body::Item(Item { content: Content::Values(values), .. }) = &found.body {
                    all.values += values.len();
                }
            })?;
        }
        Ok(all)
    }
}

/// Bytes that [merging](super::compact::compact) or [comparing](super::compact::diff) updates takes at most, about.
pub fn to_merge(updates: &[&[u8]]) -> Result<usize, Malformed> {
    let found = Found::in_all(updates)?;
    Ok(found.structs * MERGED_STRUCT + found.bytes * COPIES)
}

/// Bytes that reading a document or changing it takes at most, about.
pub fn to_read(updates: &[&[u8]]) -> Result<usize, Malformed> {
    let found = Found::in_all(updates)?;
    Ok(found.structs * READ_STRUCT + found.values * READ_VALUES + found.bytes * COPIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_structs_weigh_more_than_one_that_is_large() {
        // Client 1 inserts a letter, and then each to the right of the one before.
        let letters = |count: u8| {
            let mut update = vec![1, count, 1, 0, 4, 1, 1, b't', 1, b'a'];
            (1..count).for_each(|clock| update.extend([0x84, 1, clock - 1, 1, b'a']));
            update.push(0);
            update
        };
        let (one, many) = (letters(1), letters(100));
        let (small, large) = (to_merge(&[&one]).unwrap(), to_merge(&[&many]).unwrap());
        assert_eq!((large - small) / 99, MERGED_STRUCT + 5 * COPIES);
        assert_eq!(to_merge(&[&many, &one]).unwrap(), large + small);
        assert!(to_read(&[&many]).unwrap() > 2 * large);
        let mut text = vec![1, 1, 1, 0, 4, 1, 1, b't', 0xf4, 3];
        text.extend([b'a'; 500]);
        text.push(0);
        assert_eq!(to_merge(&[&text]).unwrap(), MERGED_STRUCT + text.len() * COPIES);
        assert!(to_merge(&[&[1, 1]]).is_err());
    }
}
