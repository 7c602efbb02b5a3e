//! HTTP and files as a [`Transport`].
//!
//! HTTP/1.1 with TLS by rustls and the certificates of the system. Redirects are followed here and not by
//! the client library, so that plain HTTP needs no certificates and every step is under the same rules.
//! Proxies are taken from the environment as curl takes them (`https_proxy`, `http_proxy`, `all_proxy`,
//! `no_proxy`); one that is malformed is an error, not a direct connection. The library's feature `system-proxy` would add nothing to that on Linux.

use std::error::Error;
use std::io::{self, Read};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, ClientBuilder, Response as Answer};
use reqwest::header::{
    CONTENT_RANGE, DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::redirect::Policy;

use super::transport::{
    Body, FailureKind, FetchRequest, Response, Resume, Transport, TransportError, without_password,
};

mod headers;
mod local;
mod proxy;

/// The most redirects that are followed: GitHub needs two and a mirror network perhaps one more.
const REDIRECTS: usize = 10;

/// How the network is used.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long connecting may take, TLS included.
    pub connect: Duration,
    /// How long the server may send nothing: before the response, and between two of its bytes.
    pub stall: Duration,
    /// Whether to go through a proxy.
    pub proxies: Proxies,
}

/// Whether to go through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// As the environment says.
    Environment,
    /// Never.
    Avoid,
}

impl Default for HttpOptions {
    /// Shorter limits than those of curl: a node has mirrors and later runs.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            proxies: Proxies::Environment,
        }
    }
}

/// The network of the running system.
#[derive(Debug, Default)]
pub struct Http {
    options: HttpOptions,
    // Created when first needed: reading the system's certificates takes longer than a request
    plain: OnceLock<Result<Client, String>>,
    secure: OnceLock<Result<Client, String>>,
}

impl Http {
    /// Nothing is opened or read yet.
    pub fn new(options: HttpOptions) -> Self {
        Self { options, ..Self::default() }
    }

    fn client(&self, url: &Url) -> Result<&Client, TransportError> {
        if self.options.proxies == Proxies::Environment {
            proxy::check(url.scheme(), |name| std::env::var_os(name)).map_err(|error| {
                let hint = Some("write it as http://HOST:PORT, or unset it");
                let error = TransportError::new(url.as_str(), error.to_string(), FailureKind::Permanent);
                TransportError { hint, ..error }
            })?;
        }
        let secure = url.scheme() == "https";
        let client = if secure {
            self.secure.get_or_init(|| self.build(Client::builder()))
        } else {
            // This client never meets a certificate, so it needs no roots
            self.plain.get_or_init(|| self.build(Client::builder().tls_certs_only([])))
        };
        client.as_ref().map_err(|reason| {
            let message = format!("cannot prepare for {}: {reason}", url.scheme());
            let hint = "install the CA certificates (ca-certificates), or point SSL_CERT_FILE to a bundle";
            let error = TransportError::new(url.as_str(), message, FailureKind::Permanent);
            TransportError { hint: secure.then_some(hint), ..error }
        })
    }

    fn build(&self, builder: ClientBuilder) -> Result<Client, String> {
        #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
        super::sys::lookup::only_built_in();
        // An error means that there is a provider already, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = match self.options.proxies {
            Proxies::Environment => builder,
            Proxies::Avoid => builder.no_proxy(),
        };
        builder
            .user_agent(concat!("sysupdate/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(self.options.connect)
            // The blocking client applies this to the head of the response and then to each read
            .timeout(self.options.stall)
            .build()
            .map_err(|error| chain(&error))
    }

    fn send(
        &self,
        url: &Url,
        unless: Option<&str>,
        range: Option<&Resume>,
    ) -> Result<Answer, TransportError> {
        let mut builder = self.client(url)?.get(url.clone());
        if let Some(tag) = unless {
            let header = if headers::is_etag(tag) { IF_NONE_MATCH } else { IF_MODIFIED_SINCE };
            builder = builder.header(header, tag);
        }
        if let Some(Resume { offset, validator }) = range {
            builder = builder.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, validator);
        }
        builder.send().map_err(|error| {
            let kind = failure_of(&error);
            let hint = certificate_problem(&error)
                .then_some("check the clock, and that the server's CA is among the system's certificates");
            let error = TransportError::new(url.as_str(), chain(&error.without_url()), kind);
            TransportError { hint, ..error }
        })
    }

    fn follow(&self, mut url: Url, request: &FetchRequest) -> Result<Response, TransportError> {
        let mut range = request.resume.as_ref();
        for _ in 0..=REDIRECTS {
            let answer = self.send(&url, request.unless.as_deref(), range)?;
            let start = match (answer.status().as_u16(), range) {
                (301 | 302 | 303 | 307 | 308, _) => {
                    url = redirected(&url, &answer)?;
                    continue;
                }
                (304, _) if request.unless.is_some() => return Ok(Response::NotModified),
                // The download cannot resume: the whole resource is requested
                (416, Some(_)) => {
                    range = None;
                    continue;
                }
                (200, _) => 0,
                (206, Some(resume)) => resume.offset,
                _ => return Err(refused(&url, &answer)),
            };
            return body(&url, start, answer).map(Response::Body);
        }
        let message = format!("redirected more than {REDIRECTS} times");
        Err(TransportError::new(url.as_str(), message, FailureKind::Permanent))
    }
}

impl Transport for Http {
    fn fetch(&self, request: &FetchRequest) -> Result<Response, TransportError> {
        let fail = |message: String| TransportError::new(&request.url, message, FailureKind::Permanent);
        let url = Url::parse(&request.url).map_err(|error| fail(format!("not a URL: {error}")))?;
        let result = match url.scheme() {
            "file" => local::fetch(&url, request),
            "http" | "https" => self.follow(url, request),
            scheme => Err(fail(format!("{scheme} is not supported, only http, https and file"))),
        };
        // The error names the requested URL: the target of a redirect may contain credentials
        result.map_err(|mut error| {
            let asked = without_password(&request.url);
            if let (Some(host), true) = (host_of(&error.url), host_of(&error.url) != host_of(&asked)) {
                error.message = format!("redirected to {host}: {}", error.message);
            }
            TransportError { url: asked, ..error }
        })
    }
}

/// The target of a redirect.
fn redirected(from: &Url, answer: &Answer) -> Result<Url, TransportError> {
    let fail = |message: &str| TransportError::new(from.as_str(), message, FailureKind::Permanent);
    let location = header(answer, &LOCATION).ok_or_else(|| fail("redirected without a Location"))?;
    let to = from.join(location).map_err(|_| fail("redirected to an invalid URL"))?;
    check_scheme(from.scheme(), to.scheme()).map_err(|message| fail(&message))?;
    Ok(to)
}

/// Whether a redirect from one scheme to another is followed. Where TLS is the only protection, plain HTTP is none.
fn check_scheme(from: &str, to: &str) -> Result<(), String> {
    match (from, to) {
        ("https", "http") => Err("redirected from https to http, which is not followed".to_owned()),
        (_, "http" | "https") => Ok(()),
        _ => Err(format!("redirected to {to}:, but only http and https are supported")),
    }
}

/// The error for any other status.
fn refused(url: &Url, answer: &Answer) -> TransportError {
    let status = answer.status();
    let after = || headers::retry_after(header(answer, &RETRY_AFTER)?, header(answer, &DATE));
    let kind = match status.as_u16() {
        404 | 410 => FailureKind::NotFound,
        408 | 425 | 429 | 500..=599 => FailureKind::Transient { after: after() },
        _ => FailureKind::Permanent,
    };
    TransportError::new(url.as_str(), format!("the server answered {status}"), kind)
}

/// A 200, or the 206 that was asked for from an offset.
fn body(url: &Url, start: u64, answer: Answer) -> Result<Body, TransportError> {
    let total = if answer.status().as_u16() == 206 {
        let text = header(&answer, &CONTENT_RANGE).unwrap_or_default();
        match headers::content_range(text) {
            Some(range) if range.start == start => range.total,
            _ => {
                let message = format!("the server sent the range {text:?} instead of the bytes from {start}");
                return Err(TransportError::new(url.as_str(), message, FailureKind::Permanent));
            }
        }
    } else {
        answer.content_length()
    };
    let (etag, modified) = (header(&answer, &ETAG), header(&answer, &LAST_MODIFIED));
    Ok(Body {
        start,
        total,
        tag: headers::tag(etag, modified),
        validator: headers::validator(etag, modified, header(&answer, &DATE)),
        reader: Box::new(Bytes(answer)),
    })
}

/// The bytes of a response; errors in one line.
struct Bytes(Answer);

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let message = match error.get_ref() {
                Some(inner) => chain(inner),
                None => error.to_string(),
            };
            io::Error::new(error.kind(), message)
        })
    }
}

fn header<'a>(answer: &'a Answer, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Errors of our own request or of a certificate are permanent; all others may pass.
fn failure_of(error: &reqwest::Error) -> FailureKind {
    if error.is_builder() || certificate_problem(error) {
        FailureKind::Permanent
    } else {
        FailureKind::Transient { after: None }
    }
}

/// Whether the certificate of the server is not accepted.
fn certificate_problem(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // An I/O error hides what it wraps from `source`
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

/// An error and its causes in one line, each once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
