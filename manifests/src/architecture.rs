//! Processor architectures under systemd's names (`%a`, `ConditionArchitecture=`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hint::Hint;

macro_rules! architectures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal from $($machine:literal)|+;)+) => {
        /// A processor architecture.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Architecture { $($(#[$doc])* $variant,)+ }

        impl Architecture {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// systemd's name, as in `kubernetes-v1.32.1-x86-64.raw`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The architecture of what `uname -m` prints; `None` if systemd has no name for it.
            pub fn of_machine(machine: &str) -> Option<Self> {
                match machine { $($($machine)|+ => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

architectures! {
    /// 64-bit x86.
    X86_64 = "x86-64" from "x86_64";
    /// 32-bit x86.
    X86 = "x86" from "i386" | "i486" | "i586" | "i686";
    /// 64-bit ARM.
    Arm64 = "arm64" from "aarch64" | "arm64";
    /// 64-bit ARM, big endian.
    Arm64Be = "arm64-be" from "aarch64_be";
    /// 32-bit ARM.
    Arm = "arm" from "arm" | "armv4l" | "armv4tl" | "armv5tl" | "armv5tel" | "armv5tejl" | "armv6l" | "armv7l" | "armv8l";
    /// 32-bit ARM, big endian.
    ArmBe = "arm-be" from "armv4b" | "armv4tb" | "armv5tb" | "armv5teb" | "armv5tejb" | "armv6b" | "armv7b" | "armv8b";
    /// 64-bit RISC-V.
    Riscv64 = "riscv64" from "riscv64";
    /// 32-bit RISC-V.
    Riscv32 = "riscv32" from "riscv32" | "riscv";
    /// 64-bit POWER, little endian.
    Ppc64Le = "ppc64-le" from "ppc64le";
    /// 64-bit POWER, big endian.
    Ppc64 = "ppc64" from "ppc64";
    /// 32-bit POWER, little endian.
    PpcLe = "ppc-le" from "ppcle";
    /// 32-bit POWER, big endian.
    Ppc = "ppc" from "ppc";
    /// IBM Z, 64-bit.
    S390x = "s390x" from "s390x";
    /// IBM Z, 31-bit.
    S390 = "s390" from "s390";
    /// 64-bit LoongArch.
    Loongarch64 = "loongarch64" from "loongarch64";
    /// 64-bit SPARC.
    Sparc64 = "sparc64" from "sparc64";
    /// 32-bit SPARC.
    Sparc = "sparc" from "sparc";
    /// Itanium.
    Ia64 = "ia64" from "ia64";
    /// Alpha.
    Alpha = "alpha" from "alpha";
    /// Motorola 68000.
    M68k = "m68k" from "m68k";
    /// 64-bit PA-RISC.
    Parisc64 = "parisc64" from "parisc64";
    /// 32-bit PA-RISC.
    Parisc = "parisc" from "parisc";
}

/// A name that systemd does not use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
#[error("unknown architecture {name:?}")]
pub struct UnknownArchitecture {
    pub name: String,
}

impl Hint for UnknownArchitecture {
    fn hint(&self) -> Option<String> {
        let machine = match self.name.as_str() {
            "amd64" => "x86_64",
            "armhf" => "armv7l",
            name => name,
        };
        Some(match Architecture::of_machine(machine) {
            Some(meant) => format!("systemd calls it {meant}"),
            None => "systemd's names are x86-64, arm64, and others in systemd.unit(5)".to_owned(),
        })
    }
}

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    fn from_str(name: &str) -> Result<Self, UnknownArchitecture> {
        Self::ALL
            .iter()
            .find(|known| known.as_str() == name)
            .copied()
            .ok_or_else(|| UnknownArchitecture { name: name.to_owned() })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_machines_to_systemds_names() {
        let name = |machine| Architecture::of_machine(machine).map(Architecture::as_str);
        assert_eq!(name("x86_64"), Some("x86-64"));
        assert_eq!(name("aarch64"), Some("arm64"));
        assert_eq!(name("armv7l"), Some("arm"));
        assert_eq!(name("ppc64le"), Some("ppc64-le"));
        assert_eq!(name("x86-64"), None);
    }

    #[test]
    fn every_name_reads_back() {
        for architecture in Architecture::ALL {
            assert_eq!(architecture.to_string().parse(), Ok(*architecture));
        }
    }

    #[test]
    fn suggests_a_name_for_an_unknown_one() {
        let error = "x86_64".parse::<Architecture>().unwrap_err();
        assert_eq!(error.to_string(), "unknown architecture \"x86_64\"");
        assert_eq!(error.hint().unwrap(), "systemd calls it x86-64");
        let hint = |name: &str| name.parse::<Architecture>().unwrap_err().hint().unwrap();
        assert_eq!(hint("amd64"), "systemd calls it x86-64");
        assert_eq!(hint("vax"), "systemd's names are x86-64, arm64, and others in systemd.unit(5)");
    }
}
