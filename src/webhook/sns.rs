//! What Amazon SNS signs: some members of its message, by name, each followed by its value (AWS: "Verifying the
//! signatures of Amazon SNS messages").

use serde_json::value::RawValue;

use super::json;

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] =
    &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The signed text of a message; `None` for what is none, and where a signed member is there twice: some reader would
/// take the one that was not signed.
pub(super) fn canonical(message: &RawValue) -> Option<String> {
    let members = match json::only_text(message, "Type").ok()??.as_str() {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return None,
    };
    let mut text = String::new();
    for name in members {
        match json::only_text(message, name).ok()? {
            Some(value) => text.extend([name, "\n", &value, "\n"]),
            None if *name == "Subject" => {}
            None => return None,
        }
    }
    Some(text)
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
        message["Message"] = "m".into();
        let twice = message.to_string().replacen('{', r#"{"Message":"other","#, 1);
        assert_eq!(super::canonical(serde_json::from_str(&twice).unwrap()), None);
    }
}
