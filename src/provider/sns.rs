//! What Amazon SNS signs: some members of its message, by name, each followed by its value (AWS: "Verifying the
//! signatures of Amazon SNS messages").

use serde_json::value::RawValue;

use super::json;

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] =
    &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The signed text of a message; `None` for what is none. Of members of one name the last one is signed here, and the others
/// are gone before anybody reads them.
pub(super) fn canonical(message: &RawValue) -> Option<String> {
    let members = match text(message, "Type").ok()??.as_str() {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return None,
    };
    let mut text = String::new();
    for name in members {
        match self::text(message, name).ok()? {
            Some(value) => text.extend([name, "\n", &value, "\n"]),
            // The only member that SNS leaves out of the text where it is not there.
            None if *name == "Subject" => {}
            None => return None,
        }
    }
    Some(text)
}

/// What is there and is no text.
struct NoText;

/// A member's text, if there is such a member and it is not null.
fn text(message: &RawValue, name: &str) -> Result<Option<String>, NoText> {
    match json::at(message, &format!("/{name}")).map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|_| NoText),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn members_are_signed_in_their_order() {
        let canonical = |message: &serde_json::Value| {
            super::canonical(&serde_json::value::to_raw_value(message).unwrap())
        };
        let mut message = json!({ "Type": "Notification", "MessageId": "1", "TopicArn": "arn", "Message": "m",
            "Timestamp": "t", "Other": "x" });
        assert_eq!(
            canonical(&message).unwrap(),
            "Message\nm\nMessageId\n1\nTimestamp\nt\nTopicArn\narn\nType\nNotification\n"
        );
        message["Subject"] = "s".into();
        assert!(canonical(&message).unwrap().contains("MessageId\n1\nSubject\ns\nTimestamp"));
        message["Message"] = 1.into();
        assert_eq!(canonical(&message), None);
    }
}
