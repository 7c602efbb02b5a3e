//! HTTP and files as a [`Transport`](super::transport::Transport).
