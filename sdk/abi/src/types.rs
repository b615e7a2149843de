//! The enumerations of the ABI with their exact wire values.

/// Declares an enum whose values travel as `u32`, with the checked way back.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)+ }

        impl $name {
            /// Every value, in wire order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value with this wire number, if there is one.
            pub const fn from_wire(value: u32) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The number that travels.
            pub const fn wire(self) -> u32 {
                self as u32
            }
        }
    };
}

wire_enum! {
    /// What a hostcall answers (`proxy_status_t`).
    ///
    /// 5, 9 and 11 exist only in the C++ SDK; a Rust guest treats them as undefined, so a host never returns them.
    Status {
        /// Done.
        Ok = 0,
        /// The thing asked for does not exist.
        NotFound = 1,
        /// An argument has no meaning here.
        BadArgument = 2,
        /// The value cannot be represented.
        SerializationFailure = 3,
        /// The argument cannot be understood.
        ParseFailure = 4,
        /// A pointer or length lies outside the guest's memory.
        InvalidMemoryAccess = 6,
        /// Nothing is there (an empty queue).
        Empty = 7,
        /// The compare-and-swap number is not the current one.
        CasMismatch = 8,
        /// The host could not do it.
        InternalFailure = 10,
        /// This host does not do it.
        Unimplemented = 12,
    }
}

wire_enum! {
    /// Severity of a log line.
    LogLevel {
        /// The finest.
        Trace = 0,
        /// For developers.
        Debug = 1,
        /// Normal events.
        Info = 2,
        /// Something is odd.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// Nothing works.
        Critical = 5,
    }
}

wire_enum! {
    /// What a stream callback tells the host to do.
    Action {
        /// Go on to the next filter.
        Continue = 0,
        /// Stop here until the stream is continued or more data arrives.
        Pause = 1,
    }
}

impl Action {
    /// Reads what a guest returned: anything but 0 stops, as C++ filters return 2, 3 and 4 for kinds of stopping.
    pub const fn from_return(value: u32) -> Self {
        if value == 0 { Self::Continue } else { Self::Pause }
    }
}

wire_enum! {
    /// Which bytes a buffer hostcall means. 6 to 8 exist since 0.2.0.
    BufferType {
        /// Body of the request.
        HttpRequestBody = 0,
        /// Body of the response.
        HttpResponseBody = 1,
        /// TCP bytes from the client.
        DownstreamData = 2,
        /// TCP bytes from the server.
        UpstreamData = 3,
        /// Body of an HTTP callout's response.
        HttpCallResponseBody = 4,
        /// Message of a gRPC callout.
        GrpcCallMessage = 5,
        /// What `proxy_on_vm_start` may read.
        VmConfiguration = 6,
        /// What `proxy_on_configure` may read.
        PluginConfiguration = 7,
        /// Arguments of a foreign function that the host calls.
        ForeignFunctionArguments = 8,
    }
}

wire_enum! {
    /// Which header map a hostcall means.
    MapType {
        /// Headers of the request.
        HttpRequestHeaders = 0,
        /// Trailers of the request.
        HttpRequestTrailers = 1,
        /// Headers of the response.
        HttpResponseHeaders = 2,
        /// Trailers of the response.
        HttpResponseTrailers = 3,
        /// First metadata of a gRPC callout.
        GrpcCallInitialMetadata = 4,
        /// Last metadata of a gRPC callout.
        GrpcCallTrailingMetadata = 5,
        /// Headers of an HTTP callout's response.
        HttpCallResponseHeaders = 6,
        /// Trailers of an HTTP callout's response.
        HttpCallResponseTrailers = 7,
    }
}

wire_enum! {
    /// Who closed a TCP connection.
    PeerType {
        /// Not known.
        Unknown = 0,
        /// This side.
        Local = 1,
        /// The other side.
        Remote = 2,
    }
}

wire_enum! {
    /// Which direction of which stream (since 0.2.0).
    StreamType {
        /// The HTTP request.
        HttpRequest = 0,
        /// The HTTP response.
        HttpResponse = 1,
        /// TCP bytes from the client.
        Downstream = 2,
        /// TCP bytes from the server.
        Upstream = 3,
    }
}

wire_enum! {
    /// Kinds of metric.
    MetricType {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Observations.
        Histogram = 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_travels_there_and_back() {
        for s in Status::ALL {
            assert_eq!(Status::from_wire(s.wire()), Some(*s));
        }
        for gap in [5, 9, 11, 13, u32::MAX] {
            assert_eq!(Status::from_wire(gap), None);
        }
        assert_eq!(MapType::from_wire(7), Some(MapType::HttpCallResponseTrailers));
        assert_eq!(MapType::from_wire(8), None);
    }

    #[test]
    fn richer_actions_of_cpp_filters_stop() {
        assert_eq!(Action::from_return(0), Action::Continue);
        for v in [1, 2, 3, 4, 7, u32::MAX] {
            assert_eq!(Action::from_return(v), Action::Pause);
        }
    }
}
