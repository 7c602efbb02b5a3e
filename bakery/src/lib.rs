//! The program that bakes.
