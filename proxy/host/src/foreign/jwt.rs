//! `sluice_verify_jwt`: checks a JSON Web Token outside of the guest, where it costs a fraction of the CPU.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Failure};

/// What the guest sends, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The token, without `Bearer `.
    token: String,
    /// A set of keys as JSON Web Key Set.
    jwks: Option<JwkSet>,
    /// Or one public key in PEM.
    pem: Option<String>,
    /// Or one shared secret.
    secret: Option<String>,
    /// The only algorithms that are accepted; at least one.
    algorithms: Vec<Algorithm>,
    /// Accepted values of `iss`; any when empty.
    #[serde(default)]
    issuers: Vec<String>,
    /// Accepted values of `aud`; any when empty.
    #[serde(default)]
    audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    #[serde(default)]
    leeway: u64,
}

/// `{"valid":true,"claims":{…},"header":{…}}`, or `{"valid":false,"error":"…"}`.
pub(crate) fn verify(arguments: &[u8], now: Duration) -> Answer {
    let args: Arguments = serde_json::from_slice(arguments).map_err(|e| Failure::argument(e.to_string()))?;
    if args.algorithms.is_empty() {
        return Err(Failure::argument("`algorithms` is empty: name those that are accepted"));
    }
    let answer = match check(&args, now)? {
        Ok((header, claims)) => json!({ "valid": true, "header": header, "claims": claims }),
        Err(error) => json!({ "valid": false, "error": error }),
    };
    Ok(answer.to_string().into_bytes())
}

/// Header and claims, or why the token is not valid.
fn check(args: &Arguments, now: Duration) -> Result<Result<(Value, Value), String>, Failure> {
    let header = match decode_header(&args.token) {
        Ok(header) => header,
        Err(e) => return Ok(Err(e.to_string())),
    };
    if !args.algorithms.contains(&header.alg) {
        return Ok(Err(format!("the algorithm {:?} is not accepted", header.alg)));
    }
    let Some(key) = key(args, &header)? else { return Ok(Err("no key has the token's `kid`".into())) };
    let mut validation = Validation::new(header.alg);
    validation.leeway = args.leeway;
    // The host has no clock of its own: times are checked below, by the embedder's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.required_spec_claims.clear();
    if !args.issuers.is_empty() {
        validation.set_issuer(&args.issuers);
        validation.required_spec_claims.insert("iss".into());
    }
    if args.audiences.is_empty() {
        validation.validate_aud = false;
    } else {
        validation.set_audience(&args.audiences);
        validation.required_spec_claims.insert("aud".into());
    }
    let claims = match decode::<Value>(&args.token, &key, &validation) {
        Ok(token) => token.claims,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let seconds = |name: &str| claims.get(name).map(|v| v.as_f64().ok_or(format!("`{name}` is no time")));
    let (now, leeway) = (now.as_secs_f64(), args.leeway as f64);
    let times = || {
        if seconds("exp").transpose()?.is_some_and(|exp| exp + leeway <= now) {
            return Err("the token has expired".to_owned());
        }
        if seconds("nbf").transpose()?.is_some_and(|nbf| nbf - leeway > now) {
            return Err("the token is not valid yet".to_owned());
        }
        Ok(())
    };
    let header = serde_json::to_value(&header).unwrap_or_default();
    Ok(times().map(|()| (header, claims)))
}

/// The key for this token; `None` when the set has none that fits.
fn key(args: &Arguments, header: &jsonwebtoken::Header) -> Result<Option<DecodingKey>, Failure> {
    let bad = |e: jsonwebtoken::errors::Error| Failure::argument(format!("the key cannot be read: {e}"));
    match (&args.jwks, &args.pem, &args.secret) {
        (Some(set), None, None) => {
            let jwk = match &header.kid {
                Some(kid) => set.find(kid),
                None => set.keys.first().filter(|_| set.keys.len() == 1),
            };
            jwk.map(|jwk| DecodingKey::from_jwk(jwk).map_err(bad)).transpose()
        }
        (None, Some(pem), None) => match header.alg {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
            _ => DecodingKey::from_rsa_pem(pem.as_bytes()),
        }
        .map(Some)
        .map_err(bad),
        (None, None, Some(secret)) => Ok(Some(DecodingKey::from_secret(secret.as_bytes()))),
        _ => Err(Failure::argument("it needs one of `jwks`, `pem` and `secret`")),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn token(claims: &Value) -> String {
        encode(&Header::default(), claims, &EncodingKey::from_secret(b"secret")).expect("a token")
    }

    fn ask(mut arguments: Value, token: &str) -> Value {
        arguments["token"] = token.into();
        let answer = verify(arguments.to_string().as_bytes(), NOW).expect("an answer");
        serde_json::from_slice(&answer).expect("JSON")
    }

    #[test]
    fn a_token_is_judged_by_key_time_issuer_and_audience() {
        let good = token(&json!({ "sub": "a", "exp": 1_800_000_100, "iss": "me", "aud": "you" }));
        let basic = json!({ "secret": "secret", "algorithms": ["HS256"] });
        let answer = ask(basic.clone(), &good);
        assert_eq!((&answer["valid"], &answer["claims"]["sub"]), (&json!(true), &json!("a")), "{answer}");
        for (more, error) in [
            (json!({ "secret": "other", "algorithms": ["HS256"] }), "InvalidSignature"),
            (json!({ "secret": "secret", "algorithms": ["HS512"] }), "not accepted"),
            (json!({ "secret": "secret", "algorithms": ["HS256"], "issuers": ["him"] }), "InvalidIssuer"),
            (json!({ "secret": "secret", "algorithms": ["HS256"], "audiences": ["him"] }), "InvalidAudience"),
        ] {
            let answer = ask(more, &good);
            assert_eq!(answer["valid"], false);
            assert!(answer["error"].as_str().is_some_and(|e| e.contains(error)), "{answer}");
        }
        for (claims, error) in [
            (json!({ "exp": 1_799_999_999 }), "expired"),
            (json!({ "nbf": 1_800_000_001 }), "not valid yet"),
            (json!({ "exp": "x" }), "no time"),
        ] {
            assert!(
                ask(basic.clone(), &token(&claims))["error"].as_str().is_some_and(|e| e.contains(error)),
                "{error}"
            );
        }
        assert_eq!(ask(basic.clone(), "no token")["valid"], false);
        let none = "eyJhbGciOiJub25lIn0.e30.";
        assert_eq!(ask(basic, none)["valid"], false, "a token without a signature is none");
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused() {
        for bad in [
            "",
            "{}",
            r#"{"token":"x","algorithms":[],"secret":"s"}"#,
            r#"{"token":"x","algorithms":["HS256"],"typo":1}"#,
        ] {
            assert!(verify(bad.as_bytes(), NOW).is_err(), "{bad}");
        }
    }
}
