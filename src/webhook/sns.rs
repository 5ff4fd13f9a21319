//! What Amazon SNS signs: some members of its message, by name, each followed by its value (AWS: "Verifying the
//! signatures of Amazon SNS messages").

use serde_json::Value;

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] =
    &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The signed text of a message; `None` for what is none.
pub(super) fn canonical(message: &Value) -> Option<String> {
    let members = match message.get("Type")?.as_str()? {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return None,
    };
    let mut text = String::new();
    for name in members {
        match message.get(name) {
            Some(Value::String(value)) => text.extend([name, "\n", value, "\n"]),
            None | Some(Value::Null) if *name == "Subject" => {}
            _ => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_signed_in_their_order() {
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
