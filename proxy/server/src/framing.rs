//! How a response body is framed, decided at the last moment: when the head is about to be written.
//!
//! A filter may change a body's length after the head went by. Pingora hands head and first body pieces on in one
//! batch and calls its modules when it writes the batch, so for a response that came in one piece the final length is
//! known by then and is sent; for any other the body is chunked.

use std::any::Any;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora_core::{
    Result,
    modules::http::{HttpModule, HttpModuleBuilder, Module},
};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// How the body of the response is going to be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Framing {
    /// As the head says.
    #[default]
    Keep,
    /// The filters may change the length and have not let the end pass yet.
    Unknown,
    /// The whole body passed the filters: this many bytes.
    Known(usize),
}

/// The module of one request; the proxy tells it what it learns.
#[derive(Debug, Default)]
pub(crate) struct FramingModule {
    pub(crate) framing: Framing,
    /// The client asked for the head alone.
    pub(crate) head_only: bool,
    /// The client cannot read chunks.
    pub(crate) http10: bool,
    /// What is sent in the place of head and body.
    instead: Option<Instead>,
}

#[derive(Debug)]
struct Instead {
    head: Option<ResponseHeader>,
    body: Option<Bytes>,
}

/// Tells the module of a request how its response is framed. Finding it costs a hash, so it is told once what is not the
/// default.
pub(crate) fn tell(session: &mut Session, framing: Framing) {
    if framing != Framing::Keep
        && let Some(module) = session.downstream_modules_ctx.get_mut::<FramingModule>()
    {
        module.framing = framing;
    }
}

impl FramingModule {
    /// Puts a whole answer in the place of head and body, neither of which is out yet.
    pub(crate) fn replace(&mut self, head: ResponseHeader, body: Bytes) {
        self.framing = Framing::Keep;
        self.instead = Some(Instead { head: Some(head), body: Some(body) });
    }
}

#[async_trait]
impl HttpModule for FramingModule {
    async fn response_header_filter(&mut self, head: &mut ResponseHeader, end: bool) -> Result<()> {
        if head.status.is_informational() {
            return Ok(());
        }
        if let Some(other) = self.instead.as_mut().and_then(|i| i.head.take()) {
            *head = other;
            return Ok(());
        }
        if end {
            // A response without a body says so: without a length it would end with the connection.
            let may_have_one = !self.head_only && !matches!(head.status.as_u16(), 204 | 304);
            if may_have_one && !head.headers.contains_key(CONTENT_LENGTH) {
                head.remove_header(&TRANSFER_ENCODING);
                head.insert_header(CONTENT_LENGTH, 0)?;
            }
            return Ok(());
        }
        match self.framing {
            Framing::Keep => {}
            // Most filters that see a body leave it as it is.
            Framing::Known(length) if says_length(head, length) => {}
            Framing::Known(length) => {
                head.remove_header(&TRANSFER_ENCODING);
                head.insert_header(CONTENT_LENGTH, length)?;
            }
            Framing::Unknown => {
                head.remove_header(&CONTENT_LENGTH);
                head.insert_header(TRANSFER_ENCODING, "chunked")?;
            }
        }
        if self.http10 {
            // Without either field the body ends with the connection, which is all that HTTP/1.0 knows.
            head.remove_header(&TRANSFER_ENCODING);
        }
        Ok(())
    }

    fn response_body_filter(&mut self, body: &mut Option<Bytes>, _end: bool) -> Result<()> {
        if let Some(instead) = &mut self.instead {
            *body = instead.body.take();
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Whether the body is framed by its length alone, and this is the length that the head says.
fn says_length(head: &ResponseHeader, length: usize) -> bool {
    let mut said = head.headers.get_all(CONTENT_LENGTH).iter();
    let first = said.next().and_then(|value| value.to_str().ok()?.parse().ok());
    first == Some(length) && said.next().is_none() && !head.headers.contains_key(TRANSFER_ENCODING)
}

/// Makes one [`FramingModule`] for each request.
pub(crate) struct FramingBuilder;

impl HttpModuleBuilder for FramingBuilder {
    fn init(&self) -> Module {
        Box::new(FramingModule::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_left_alone_only_when_it_says_just_that_length() {
        let says = |fields: &[(&'static str, &'static str)]| {
            let mut head = ResponseHeader::build(200, None).expect("valid");
            fields.iter().for_each(|(n, v)| drop(head.append_header(*n, *v)));
            says_length(&head, 5)
        };
        assert!(says(&[("content-length", "5")]));
        for other in [
            &[][..],
            &[("content-length", "6")],
            &[("content-length", "5, 5")],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
        ] {
            assert!(!says(other), "{other:?}");
        }
    }
}
