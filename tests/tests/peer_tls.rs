//! HTTPS with the server of `openssl`, with certificates that are trusted, unknown, or missing.
//!
//! The certificates of a system are read from the environment, so each fetch is a separate process: this
//! program again, with a URL instead of trials.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sysext_manifests::hint::Hint as _;
use sysupdate::host::http::{Http, HttpOptions, Proxies};
use sysupdate::host::transport::{FetchRequest, Response, Transport as _};
use tests::needs::{Need, Suite};
use tests::server::Server;

/// The URL to fetch.
const FETCH: &str = "PEER_TLS_FETCH";

fn main() -> ExitCode {
    if let Ok(url) = env::var(FETCH) {
        println!("{}", fetched(&url));
        return ExitCode::SUCCESS;
    }
    let mut suite = Suite::new();
    let openssl = [Need::Tool("openssl")];
    suite.trial("peer_openssl_server_with_trusted_certificate_is_accepted", &openssl, || {
        let seen = Tls::new()?.seen_with("ca.pem")?;
        ensure!(seen == "came: hello", "{seen}");
        Ok(())
    });
    suite.trial("peer_openssl_server_with_unknown_certificate_is_rejected", &openssl, || {
        let seen = Tls::new()?.seen_with("stranger.pem")?;
        ensure!(seen.starts_with("Permanent") && seen.contains("UnknownIssuer"), "{seen}");
        ensure!(
            seen.ends_with(
                "hint: check the clock, and that the server's CA is among the system's certificates"
            ),
            "{seen}"
        );
        Ok(())
    });
    suite.trial("peer_openssl_server_is_rejected_without_certificate_store", &openssl, || {
        let tls = Tls::new()?;
        let seen = tls.seen_with("missing.pem")?;
        ensure!(seen.starts_with("Permanent") && seen.contains("cannot prepare for https: "), "{seen}");
        ensure!(seen.contains("hint: install the CA certificates"), "{seen}");
        // Plain HTTP works without certificates
        let server = Server::serve(tls.directory.path())?;
        let seen = fetch(&format!("{}/greeting", server.url()), &tls.directory.path().join("missing.pem"))?;
        ensure!(seen == "came: hello", "{seen}");
        Ok(())
    });
    suite.trial("peer_openssl_server_that_redirects_to_plain_http_is_not_followed", &openssl, || {
        let plain = tempfile::tempdir()?;
        fs::write(plain.path().join("greeting"), "hello")?;
        let server = Server::serve(plain.path())?;
        let location = format!("{}/greeting", server.url());
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let seen = Tls::serving("-HTTP", &answer)?.seen_with("ca.pem")?;
        ensure!(
            seen.contains("redirected from https to http, which is not followed")
                && seen.starts_with("Permanent"),
            "{seen}"
        );
        ensure!(server.requests().is_empty(), "the plain server was asked");
        Ok(())
    });
    suite.run()
}

/// A fetch and its outcome, in one line.
fn fetched(url: &str) -> String {
    let http = Http::new(HttpOptions { proxies: Proxies::Avoid, ..HttpOptions::default() });
    match http.fetch(&FetchRequest { url: url.to_owned(), ..FetchRequest::default() }) {
        Ok(Response::NotModified) => "not modified".to_owned(),
        Ok(Response::Body(mut body)) => {
            let mut text = String::new();
            match body.reader.read_to_string(&mut text) {
                Ok(_) => format!("came: {text}"),
                Err(error) => format!("broke: {error}"),
            }
        }
        Err(error) => {
            format!("{:?}: {error}: hint: {}", error.kind, error.hint().unwrap_or_default())
        }
    }
}

/// The same in a process whose system has only the certificates of a file.
fn fetch(url: &str, certificates: &Path) -> Result<String> {
    let output = Command::new(env::current_exe()?)
        .env(FETCH, url)
        .env("SSL_CERT_FILE", certificates)
        .env_remove("SSL_CERT_DIR")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The server of openssl, with a certificate by `ca.pem`; `stranger.pem` is unknown.
struct Tls {
    directory: tempfile::TempDir,
    server: Child,
    port: u16,
}

impl Tls {
    fn new() -> Result<Self> {
        Self::serving("-WWW", "hello")
    }

    /// With `-WWW`, the server sends a head before what it serves; with `-HTTP`, that has its own.
    fn serving(option: &str, greeting: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        fs::write(at.join("greeting"), greeting)?;
        fs::write(
            at.join("config"),
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=tests\n\
             [ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n\
             [leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n",
        )?;
        for ca in ["ca", "stranger"] {
            certificate(at, ca, "ca", &[])?;
        }
        certificate(at, "server", "leaf", &["-CA", "ca.pem", "-CAkey", "ca.key"])?;
        // Port 0: the kernel chooses, and the server prints it
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", option, "-cert", "server.pem", "-key", "server.key"])
            .current_dir(at)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = server.stdout.take().context("its output is piped")?;
        let mut tls = Self { directory, server, port: 0 };
        for line in BufReader::new(output).lines() {
            if let Some(address) = line?.strip_prefix("ACCEPT ") {
                tls.port = address.rsplit(':').next().context("no port")?.parse()?;
                return Ok(tls);
            }
        }
        bail!("openssl s_server ended: {}", tls.server.wait()?)
    }

    fn seen_with(&self, certificates: &str) -> Result<String> {
        fetch(&format!("https://localhost:{}/greeting", self.port), &self.directory.path().join(certificates))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        // It may have ended already
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Creates NAME.pem and NAME.key.
fn certificate(at: &Path, name: &str, extensions: &str, signer: &[&str]) -> Result<()> {
    let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-config", "config", "-extensions", extensions, "-subj", &format!("/CN={name}")])
        .args(["-out", &pem, "-keyout", &key])
        .args(signer)
        .current_dir(at)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
