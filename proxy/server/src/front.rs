//! Connections of HTTP/1.1: one request after the other, each with no more room than it needs.
//!
//! The future of a request in Pingora's proxy has room for all that it can do, and is moved for each. HTTP/2, and sites
//! that have an upstream of HTTP/2, go through it still.

use std::{mem, sync::Arc};

use async_trait::async_trait;
use http::Method;
use pingora_core::{
    ErrorType, Result,
    apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream},
    modules::http::HttpModules,
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};
use pingora_proxy::{HttpProxy, Session};

use crate::{context::Context, forward, framing::FramingBuilder, nothing::Nothing, proxy::Proxy, relay};

/// Takes the requests of all listeners of one kind.
pub(crate) struct Front {
    proxy: Proxy,
    pingora: Arc<HttpProxy<Proxy>>,
    modules: HttpModules,
}

impl Front {
    pub(crate) fn new(proxy: Proxy, pingora: HttpProxy<Proxy>) -> Self {
        let mut modules = HttpModules::new();
        modules.add_module(Box::new(FramingBuilder));
        Self { proxy, pingora: Arc::new(pingora), modules }
    }

    async fn answer(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        if self.proxy.begin(session, ctx).await? {
            return Ok(());
        }
        if forward::takes(ctx) {
            return forward::run(session, ctx).await;
        }
        // The site was exchanged for one with an upstream of HTTP/2 while the connection rested.
        Box::pin(relay::run(session, ctx)).await
    }
}

#[async_trait]
impl HttpServerApp for Front {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_pipelining_enabled(true);
        if session.is_http2() || !self.proxy.live.get().only_http1 {
            return self.pingora.process_new_http(session, shutdown).await;
        }
        let mut http = Box::new(session);
        if !read_head(&mut http, shutdown).await {
            return None;
        }
        // There is no other way to make one of a session whose head is read.
        let mut session = Session::new_h1_with_modules(Box::new(Nothing), &self.modules);
        let mut ctx = Context::new();
        ctx.spare = Some(mem::replace(&mut session.downstream_session, http));
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let error = self.answer(&mut session, &mut ctx).await.err();
        let kept = match &error {
            None => true,
            Some(error) => Box::pin(self.proxy.fail(&mut session, error, &mut ctx)).await.can_reuse_downstream,
        };
        self.proxy.end(&mut session, error.as_deref(), &mut ctx);
        if !kept {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.downstream_session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.pingora.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.pingora.server_options()
    }

    async fn http_cleanup(&self) {
        self.pingora.http_cleanup().await;
    }
}

/// Waits for a request; false when there is none to serve. What cannot be read is answered here.
async fn read_head(http: &mut ServerSession, shutdown: &ShutdownWatch) -> bool {
    let mut shutdown = shutdown.clone();
    let read = {
        let head = http.read_request();
        tokio::pin!(head);
        loop {
            tokio::select! {
                biased;
                read = &mut head => break read,
                // Connections are told more than this.
                told = shutdown.changed() => if told.is_err() || *shutdown.borrow() {
                    return false;
                }
            }
        }
    };
    let status = match read {
        Ok(true) if http.req_header().method == Method::CONNECT => 405,
        Ok(there) => return there,
        Err(error) if matches!(error.etype(), ErrorType::InvalidHTTPHeader) => 400,
        // The client is gone, or was silent for too long.
        Err(error) => {
            tracing::debug!(%error, "a connection ends without a request");
            return false;
        }
    };
    Box::pin(async {
        let _ = http.respond_error(status).await;
        http.shutdown().await;
    })
    .await;
    false
}
