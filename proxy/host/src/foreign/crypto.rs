//! Hashes, HMAC, and signatures with RSA and ECDSA keys.
//!
//! `sign` and `verify_signature` take and give Envoy's messages; `sluice_hash` and `sluice_hmac` take an algorithm's name,
//! a zero byte, and data.

use prost::Message;
use ring::{digest, hmac, rand::SystemRandom, rsa, signature};
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use spki::{SubjectPublicKeyInfoRef, der::Decode};

use super::{Answer, Failure};

#[derive(Clone, PartialEq, Message)]
struct SignArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    private_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    text: Vec<u8>,
    #[prost(string, tag = "4")]
    private_key_pem: String,
}

#[derive(Clone, PartialEq, Message)]
struct SignResult {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
    #[prost(string, tag = "3")]
    error: String,
}

#[derive(Clone, PartialEq, Message)]
struct VerifyArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
    #[prost(string, tag = "5")]
    public_key_pem: String,
}

#[derive(Clone, PartialEq, Message)]
struct VerifyResult {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

/// The algorithm's name and what stands behind its zero byte.
fn named(arguments: &[u8]) -> Result<(&str, &[u8]), Failure> {
    let end = arguments.iter().position(|b| *b == 0);
    let (name, rest) = end.map(|at| arguments.split_at(at)).ok_or_else(|| Failure::argument("no zero byte"))?;
    let name = std::str::from_utf8(name).map_err(|_| Failure::argument("the algorithm's name is not text"))?;
    Ok((name, &rest[1..]))
}

/// `<algorithm> 0 <data>` to the digest.
pub(crate) fn hash(arguments: &[u8]) -> Answer {
    let (name, data) = named(arguments)?;
    let algorithm = match name {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        _ => return Err(unknown(name)),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

/// `<algorithm> 0 <length of the key, 4 bytes little endian> <key> <data>` to the code.
pub(crate) fn hmac(arguments: &[u8]) -> Answer {
    let (name, rest) = named(arguments)?;
    let algorithm = match name {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        _ => return Err(unknown(name)),
    };
    let short = || Failure::argument("the key is longer than the arguments");
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (key, data) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    Ok(hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().to_vec())
}

fn unknown(name: &str) -> Failure {
    Failure::argument(format!("`{}` is no algorithm here", name.escape_default()))
}

/// The one key of two ways to write it.
fn one<'a>(der: &'a [u8], pem: &'a str) -> Result<Key<'a>, Failure> {
    match (der.is_empty(), pem.is_empty()) {
        (false, true) => Ok(Key::Der(der)),
        (true, false) => Ok(Key::Pem(pem)),
        _ => Err(Failure::argument("it needs one key, in DER or in PEM")),
    }
}

enum Key<'a> {
    Der(&'a [u8]),
    Pem(&'a str),
}

/// Signs with a private key in PKCS#8.
pub(crate) fn sign(arguments: &[u8]) -> Answer {
    let args = SignArguments::decode(arguments).map_err(|e| Failure::argument(e.to_string()))?;
    let key = match one(&args.private_key, &args.private_key_pem)? {
        Key::Der(der) => der.to_vec(),
        Key::Pem(pem) => PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| Failure::argument(format!("the key is no PKCS#8 in PEM: {e}")))?
            .secret_pkcs8_der()
            .to_vec(),
    };
    let result = match signed(&args.hash_function, &key, &args.text)? {
        Ok(signature) => SignResult { result: true, signature, error: String::new() },
        Err(error) => SignResult { result: false, signature: Vec::new(), error },
    };
    Ok(result.encode_to_vec())
}

/// A signature, or why this key cannot make one.
fn signed(hash: &str, key: &[u8], text: &[u8]) -> Result<Result<Vec<u8>, String>, Failure> {
    let random = SystemRandom::new();
    if let Ok(pair) = rsa::KeyPair::from_pkcs8(key) {
        let padding: &'static dyn signature::RsaEncoding = match hash {
            "sha256" => &signature::RSA_PKCS1_SHA256,
            "sha384" => &signature::RSA_PKCS1_SHA384,
            "sha512" => &signature::RSA_PKCS1_SHA512,
            _ => return Ok(Err(format!("{hash} is not made with RSA keys here"))),
        };
        let mut out = vec![0; pair.public().modulus_len()];
        return Ok(pair.sign(padding, &random, text, &mut out).map(|()| out).map_err(|_| "signing failed".to_owned()));
    }
    let curve = match hash {
        "sha256" => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        "sha384" => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        _ => return Ok(Err(format!("{hash} is not made with this key here"))),
    };
    let pair = signature::EcdsaKeyPair::from_pkcs8(curve, key, &random)
        .map_err(|e| Failure::argument(format!("the key is neither RSA nor an elliptic curve of {hash}: {e}")))?;
    Ok(pair.sign(&random, text).map(|s| s.as_ref().to_vec()).map_err(|_| "signing failed".to_owned()))
}

/// Checks a signature with a public key (SubjectPublicKeyInfo).
pub(crate) fn verify(arguments: &[u8]) -> Answer {
    let args = VerifyArguments::decode(arguments).map_err(|e| Failure::argument(e.to_string()))?;
    let key = match one(&args.public_key, &args.public_key_pem)? {
        Key::Der(der) => der.to_vec(),
        Key::Pem(pem) => SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| Failure::argument(format!("the key is no public key in PEM: {e}")))?
            .to_vec(),
    };
    let info = SubjectPublicKeyInfoRef::from_der(&key)
        .map_err(|e| Failure::argument(format!("the key is no public key in DER: {e}")))?;
    let oid = info.algorithm.oid.to_string();
    let ec = oid == "1.2.840.10045.2.1";
    let algorithm: &'static dyn signature::VerificationAlgorithm = match (ec, &*args.hash_function) {
        (false, "sha1") => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (false, "sha256") => &signature::RSA_PKCS1_2048_8192_SHA256,
        (false, "sha384") => &signature::RSA_PKCS1_2048_8192_SHA384,
        (false, "sha512") => &signature::RSA_PKCS1_2048_8192_SHA512,
        (true, "sha256") => &signature::ECDSA_P256_SHA256_ASN1,
        (true, "sha384") => &signature::ECDSA_P384_SHA384_ASN1,
        (_, other) => {
            let error = format!("{other} is not checked with this kind of key here");
            return Ok(VerifyResult { result: false, error }.encode_to_vec());
        }
    };
    let point = info.subject_public_key.raw_bytes();
    let good = signature::UnparsedPublicKey::new(algorithm, point).verify(&args.text, &args.signature).is_ok();
    let error = if good { String::new() } else { "the signature does not fit".to_owned() };
    Ok(VerifyResult { result: good, error }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn hashes_and_codes_are_those_of_the_standards() {
        let of = |text: &[u8]| hex(&hash(text).expect("a digest"));
        assert_eq!(of(b"sha256\0abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(of(b"sha1\0abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        // RFC 4231, 4.3.
        let code = hmac(b"sha256\0\x04\0\0\0Jefewhat do ya want for nothing?").expect("a code");
        assert_eq!(hex(&code), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in [&b"sha256"[..], b"md5\0abc", b"\xff\0a"] {
            assert_eq!(hash(bad).expect_err("refused").status, sluice_abi::Status::BadArgument);
        }
        for bad in [&b"sha256\0"[..], b"sha256\0\xff\xff\xff\xffk", b"none\0\0\0\0\0"] {
            assert!(hmac(bad).is_err());
        }
        assert!(sign(b"\xff").is_err() && verify(b"\xff").is_err());
        assert!(
            verify(&VerifyArguments { public_key: b"no key".to_vec(), ..Default::default() }.encode_to_vec()).is_err()
        );
        let both = SignArguments { private_key: vec![1], private_key_pem: "x".into(), ..Default::default() };
        assert!(sign(&both.encode_to_vec()).is_err());
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let random = SystemRandom::new();
        let curve = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = signature::EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a key");
        let pair = signature::EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).expect("the same key");
        let arguments = SignArguments {
            hash_function: "sha256".into(),
            private_key: pkcs8.as_ref().to_vec(),
            text: b"text".to_vec(),
            ..Default::default()
        };
        let made = SignResult::decode(&*sign(&arguments.encode_to_vec()).expect("signs")).expect("a result");
        assert!(made.result, "{}", made.error);
        // SubjectPublicKeyInfo of P-256: a fixed head and the point.
        let head =
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        let public = [&head[..], signature::KeyPair::public_key(&pair).as_ref()].concat();
        let check = |text: &[u8], hash: &str| {
            let arguments = VerifyArguments {
                hash_function: hash.into(),
                public_key: public.clone(),
                signature: made.signature.clone(),
                text: text.to_vec(),
                ..Default::default()
            };
            VerifyResult::decode(&*verify(&arguments.encode_to_vec()).expect("a result")).expect("decodes").result
        };
        assert!(check(b"text", "sha256"));
        assert!(!check(b"texT", "sha256") && !check(b"text", "sha512"));
    }
}
