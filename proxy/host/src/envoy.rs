//! The few messages of Envoy's configuration and of its foreign functions that filters send, as protocol buffers.

use prost::Message;

/// `envoy.config.core.v3.GrpcService`, as far as it names a target.
#[derive(Clone, PartialEq, Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy: Option<EnvoyGrpc>,
    #[prost(message, optional, tag = "2")]
    google: Option<GoogleGrpc>,
}

#[derive(Clone, PartialEq, Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct GoogleGrpc {
    #[prost(string, tag = "1")]
    target_uri: String,
}

/// Arguments of `set_envoy_filter_state`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetFilterState {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// A message, if the bytes are one.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes).ok()
}

/// The target that such a message names; `None` when the bytes are none.
pub(crate) fn grpc_target(bytes: &[u8]) -> Option<String> {
    let service = GrpcService::decode(bytes).ok()?;
    let name = match (service.envoy, service.google) {
        (Some(envoy), None) => envoy.cluster_name,
        (None, Some(google)) => google.target_uri,
        _ => return None,
    };
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_and_a_target_are_found_and_noise_is_not() {
        let cluster = GrpcService { envoy: Some(EnvoyGrpc { cluster_name: "auth".into() }), google: None };
        assert_eq!(grpc_target(&cluster.encode_to_vec()).as_deref(), Some("auth"));
        let target = GrpcService { envoy: None, google: Some(GoogleGrpc { target_uri: "10.0.0.1:9000".into() }) };
        assert_eq!(grpc_target(&target.encode_to_vec()).as_deref(), Some("10.0.0.1:9000"));
        for noise in [&b"auth"[..], b"", b"\xff\xff", b"\x0a\x00"] {
            assert_eq!(grpc_target(noise), None, "{noise:?}");
        }
    }
}
