//! Taking a request: judged by its source, and answered once everything it says is kept.

use std::sync::Arc;

use axum::http::header;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{Incoming, NotTaken, Outcome, Webhooks, certificates, record};
use crate::provider::{Answer, Certificates, Refused, Unverified, Verified, decode};

/// What a request turned out to be.
enum Judged {
    Answer(Answer),
    Delivery(Verified),
    NeedsCertificate(String),
    Not(NotTaken),
}

impl Webhooks {
    /// Takes a request: the answer, once everything it says is kept.
    pub async fn take(self: &Arc<Self>, incoming: Incoming) -> Result<Answer, NotTaken> {
        let judged = self.judge_fetching(&incoming).await;
        match judged {
            Judged::Answer(answer) => {
                let detail = match &answer.fetch {
                    Some(address) => {
                        let confirmed = certificates::confirm(&incoming.source, address).await;
                        confirmed.map_err(|error| NotTaken::Busy(format!("not confirmed: {error}")))?;
                        "confirmed".to_owned()
                    }
                    None => answer.text(),
                };
                self.note(&incoming, Outcome::Handshake, None, &detail);
                Ok(answer)
            }
            Judged::Delivery(verified) => {
                let answer = incoming.source.answer.clone();
                self.accept_in_time(incoming, verified).await?;
                Ok(answer)
            }
            Judged::Not(not) => {
                let cause = match &not {
                    NotTaken::Unverified(unverified) => unverified.code(),
                    NotTaken::Refused(_) => "handshake",
                    NotTaken::Body(_) => record::NOT_READ,
                    NotTaken::Busy(_) => "busy",
                };
                self.note(&incoming, Outcome::Rejected, Some(cause), &not.to_string());
                Err(not)
            }
            Judged::NeedsCertificate(_) => Err(NotTaken::Busy("the certificate is gone again".into())),
        }
    }

    /// Judges a request, and once more if the certificate it names was not at hand or has been replaced.
    async fn judge_fetching(&self, incoming: &Incoming) -> Judged {
        let certificates = self.certificates.of(&incoming.source);
        let judged = self.judge(incoming, &certificates);
        let wanted = match &judged {
            Judged::NeedsCertificate(address) => Some(address.clone()),
            Judged::Not(NotTaken::Unverified(Unverified::Mismatch | Unverified::CertificateDates)) => {
                certificates.outdated()
            }
            _ => None,
        };
        let Some(address) = wanted else { return judged };
        match (self.certificates.fetch(&incoming.source, &address).await, judged) {
            // Once more and no more: what still does not fit was signed by somebody else.
            (Ok(()), _) => self.judge(incoming, &self.certificates.of(&incoming.source)),
            (Err(error), Judged::NeedsCertificate(_)) => {
                Judged::Not(NotTaken::Busy(format!("the certificate could not be fetched: {error}")))
            }
            (Err(_), judged) => judged,
        }
    }

    fn judge(&self, incoming: &Incoming, certificates: &dyn Certificates) -> Judged {
        let (source, request) = (&incoming.source, incoming.request());
        let answered = |answer: Result<Answer, Refused>| match answer {
            Ok(answer) => Judged::Answer(answer),
            Err(refused) => Judged::Not(NotTaken::Refused(refused)),
        };
        // First, since some providers ask whether somebody is there without signing that, before there is a secret to
        // sign it with.
        if let Some(answer) = source.greet(&request) {
            return answered(answer);
        }
        let verified = match source.verify(&request, certificates) {
            Ok(verified) => verified,
            Err(Unverified::NeedsCertificate(address)) => return Judged::NeedsCertificate(address),
            Err(unverified) => return Judged::Not(NotTaken::Unverified(unverified)),
        };
        // After the signature: these answers prove that we know the secret, so only the provider may have them.
        match source.reply(&request) {
            Some(answer) => answered(answer),
            None => Judged::Delivery(verified),
        }
    }

    /// Decompresses a body where that is needed, a few at a time and not where others wait.
    pub(super) async fn decompress(
        &self,
        incoming: &Incoming,
    ) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, NotTaken> {
        let Some(encoding) = incoming.headers.get(header::CONTENT_ENCODING).cloned() else {
            return Ok(None);
        };
        // Taken before anything is unpacked, and kept by the caller with the result: a few bytes may become the most a
        // body may have.
        let turn = self.decompressing.clone().acquire_owned().await;
        let turn = turn.map_err(|error| NotTaken::Busy(error.to_string()))?;
        let (body, limit) = (incoming.body.clone(), incoming.source.max_body_bytes);
        let done = tokio::task::spawn_blocking(move || decode(Some(encoding.as_bytes()), &body, limit)).await;
        let content = done.map_err(|error| NotTaken::Busy(error.to_string()))?.map_err(NotTaken::Body)?;
        Ok(content.map(|content| (Bytes::from(content), turn)))
    }
}
