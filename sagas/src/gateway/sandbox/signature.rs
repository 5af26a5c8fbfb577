//! The signature of webhooks: `Counterfoil-Signature: t=<unix seconds>,v1=<hex>`, where the latter is
//! HMAC-SHA256 over `<unix seconds>.<body>`. Compared in constant time; the time is part of what is
//! signed, so that an old delivery cannot be sent again later.

use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::gateway::VerifyError;

/// The header that carries the signature.
pub const HEADER: &str = "counterfoil-signature";

/// The secrets that we share with the provider: what it signs with, and those it signed with before.
#[derive(Clone)]
pub struct Secrets {
    accepted: Vec<Vec<u8>>,
    tolerance: TimeDelta,
}

impl Secrets {
    /// One secret, and five minutes of tolerance either way.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self { accepted: vec![secret.into()], tolerance: TimeDelta::minutes(5) }
    }

    /// Also accepts what is signed with an older secret, while the provider changes over.
    #[must_use]
    pub fn and_previous(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.accepted.push(secret.into());
        self
    }

    /// Checks the signature of a delivery.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<(), VerifyError> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(VerifyError::Unsigned);
        };
        let (signed_at, signature) = value.to_str().ok().and_then(parse).ok_or(VerifyError::Unsigned)?;
        let fits = |secret: &Vec<u8>| {
            mac(secret, signed_at, body).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
        };
        if !self.accepted.iter().any(fits) {
            return Err(VerifyError::Forged);
        }
        let age_s = now.timestamp().saturating_sub(signed_at).unsigned_abs();
        if age_s > self.tolerance.num_seconds().unsigned_abs() {
            return Err(VerifyError::Stale);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("accepted", &self.accepted.len()).finish_non_exhaustive()
    }
}

/// The value of the header for a body that is signed at a time.
pub fn sign(secret: &[u8], signed_at: DateTime<Utc>, body: &[u8]) -> String {
    let seconds = signed_at.timestamp();
    let signature =
        mac(secret, seconds, body).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default();
    format!("t={seconds},v1={signature}")
}

fn parse(value: &str) -> Option<(i64, Vec<u8>)> {
    let (time, signature) = value.split_once(',')?;
    let seconds = time.strip_prefix("t=")?.parse().ok()?;
    let bytes = hex::decode(signature.strip_prefix("v1=")?).ok()?;
    Some((seconds, bytes))
}

/// HMAC accepts keys of any length, so this is always something.
fn mac(secret: &[u8], seconds: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_signature_is_that_of_the_published_algorithm() {
        // Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`.
        assert_eq!(
            sign(b"secret", at(1_700_000_000), b"{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }

    #[test]
    fn what_was_signed_just_now_is_believed() {
        let signed = headers(&sign(b"secret", at(1000), b"body"));
        assert_eq!(Secrets::new("secret").verify(&signed, b"body", at(1300)), Ok(()));
        assert_eq!(Secrets::new("new").and_previous("secret").verify(&signed, b"body", at(1000)), Ok(()));
    }

    #[test]
    fn another_body_another_secret_and_another_time_are_forged() {
        let signed = headers(&sign(b"secret", at(1000), b"body"));
        assert_eq!(Secrets::new("secret").verify(&signed, b"bodY", at(1000)), Err(VerifyError::Forged));
        assert_eq!(Secrets::new("other").verify(&signed, b"body", at(1000)), Err(VerifyError::Forged));
        let signature = sign(b"secret", at(1000), b"body").replace("t=1000", "t=9000");
        assert_eq!(
            Secrets::new("secret").verify(&headers(&signature), b"body", at(9000)),
            Err(VerifyError::Forged)
        );
    }

    #[test]
    fn what_was_signed_three_days_ago_or_from_now_is_stale() {
        let signed = headers(&sign(b"secret", at(1_000_000), b"body"));
        let secrets = Secrets::new("secret");
        assert_eq!(secrets.verify(&signed, b"body", at(1_000_000 + 259_200)), Err(VerifyError::Stale));
        assert_eq!(secrets.verify(&signed, b"body", at(1_000_000 - 301)), Err(VerifyError::Stale));
    }

    #[test]
    fn no_signature_two_signatures_and_nonsense_are_unsigned() {
        let secrets = Secrets::new("secret");
        assert_eq!(secrets.verify(&HeaderMap::new(), b"body", at(0)), Err(VerifyError::Unsigned));
        for nonsense in ["", "t=1", "t=1,v1=zz", "v1=00,t=1", "t=x,v1=00"] {
            assert_eq!(
                secrets.verify(&headers(nonsense), b"body", at(0)),
                Err(VerifyError::Unsigned),
                "{nonsense}"
            );
        }
        let mut twice = headers(&sign(b"secret", at(0), b"body"));
        twice.append(HEADER, sign(b"secret", at(0), b"body").parse().unwrap());
        assert_eq!(secrets.verify(&twice, b"body", at(0)), Err(VerifyError::Unsigned));
    }
}
