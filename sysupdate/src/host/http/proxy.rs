//! The proxy variables of the environment. The HTTP library ignores what it cannot read and connects directly.

use std::ffi::OsString;

use reqwest::Url;

/// What a URL's part before the path, and a path, may consist of.
const PUNCTUATION: &str = "-._~!$&'()*+,;=:@%[]/";

/// A proxy variable that cannot be used. Its value may contain a password and is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is set, but {reason}")]
pub(super) struct ProxyError {
    name: String,
    reason: String,
}

/// Checks the variable that decides for a scheme, in the library's order.
pub(super) fn check(scheme: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<(), ProxyError> {
    let own = format!("{scheme}_proxy");
    for name in [own.to_uppercase().as_str(), &own, "ALL_PROXY", "all_proxy"] {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
        return check_value(value.to_str().unwrap_or_default())
            .map_err(|reason| ProxyError { name: name.to_owned(), reason });
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let is_plain = |character: char| character.is_ascii_alphanumeric() || PUNCTUATION.contains(character);
    let url = Url::parse(&text).ok().filter(|url| url.has_host() && !value.is_empty());
    let url = url.filter(|_| text.chars().all(is_plain)).ok_or("is not the URL of a proxy")?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(format!("its scheme is {scheme}; only http and https are supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(scheme: &str, set: &[(&str, &str)]) -> Result<(), String> {
        let value = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        check(scheme, value).map_err(|error| error.to_string())
    }

    #[test]
    fn usable_proxies_are_accepted() {
        for value in ["proxy", "proxy:3128", "http://me:p%40ss@proxy:3128/", "https://[::1]:8080", ""] {
            assert_eq!(check_all("http", &[("http_proxy", value)]), Ok(()), "{value}");
        }
        assert_eq!(check_all("https", &[("http_proxy", ":::bad")]), Ok(()), "it is for another scheme");
    }

    #[test]
    fn malformed_proxies_are_reported_without_their_value() {
        for value in [":::bad", "http://", "http://a b", "proxy:port", "http://me:se^cret@proxy", "\u{e9}"] {
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let reason = format!("{name} is set, but is not the URL of a proxy");
                assert_eq!(check_all("https", &[(name, value)]), Err(reason), "{value}");
            }
        }
        let reason = "all_proxy is set, but its scheme is socks5; only http and https are supported";
        assert_eq!(check_all("http", &[("all_proxy", "socks5://proxy:1080")]), Err(reason.to_owned()));
    }
}
