//! The partition types of the Discoverable Partitions Specification (UAPI.2).

use std::fmt;
use std::str::FromStr;

use crate::gpt::Guid;

/// A partition type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionType {
    /// The architecture of the file system.
    pub architecture: Architecture,
    /// The file system that it belongs to.
    pub designator: Designator,
    /// Its role for that file system.
    pub role: Role,
}

/// The architecture of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `arm64`, AArch64.
    Arm64,
    /// `riscv64`.
    Riscv64,
    /// `x86-64`, AMD64.
    X86_64,
}

/// An architecture without partition types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsupported architecture {0:?}: disk images are only for x86-64, arm64 and riscv64")]
pub struct UnknownArchitecture(String);

/// The file system that a partition belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Designator {
    /// The root: also that of a system extension, in which `/usr` and `/opt` are directories.
    Root,
    /// Only `/usr`.
    Usr,
}

/// The role of a partition for its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The file system itself.
    Data,
    /// Its dm-verity tree.
    Verity,
    /// The signature of the root hash.
    Signature,
}

use Architecture::{Arm64, Riscv64, X86_64};
use Designator::{Root, Usr};
use Role::{Data, Signature, Verity};

/// All known types.
#[rustfmt::skip]
const TYPES: [(Architecture, Designator, Role, u128); 18] = [
    (X86_64,  Root, Data,      0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709),
    (X86_64,  Root, Verity,    0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5),
    (X86_64,  Root, Signature, 0x41092b05_9fc8_4523_994f_2def0408b176),
    (X86_64,  Usr,  Data,      0x8484680c_9521_48c6_9c11_b0720656f69e),
    (X86_64,  Usr,  Verity,    0x77ff5f63_e7b6_4633_acf4_1565b864c0e6),
    (X86_64,  Usr,  Signature, 0xe7bb33fb_06cf_4e81_8273_e543b413e2e2),
    (Arm64,   Root, Data,      0xb921b045_1df0_41c3_af44_4c6f280d3fae),
    (Arm64,   Root, Verity,    0xdf3300ce_d69f_4c92_978c_9bfb0f38d820),
    (Arm64,   Root, Signature, 0x6db69de6_29f4_4758_a7a5_962190f00ce3),
    (Arm64,   Usr,  Data,      0xb0e01050_ee5f_4390_949a_9101b17104e9),
    (Arm64,   Usr,  Verity,    0x6e11a4e7_fbca_4ded_b9e9_e1a512bb664e),
    (Arm64,   Usr,  Signature, 0xc23ce4ff_44bd_4b00_b2d4_b41b3419e02a),
    (Riscv64, Root, Data,      0x72ec70a6_cf74_40e6_bd49_4bda08e8f224),
    (Riscv64, Root, Verity,    0xb6ed5582_440b_4209_b8da_5ff7c419ea3d),
    (Riscv64, Root, Signature, 0xefe0f087_ea8d_4469_821a_4c2a96a8386a),
    (Riscv64, Usr,  Data,      0xbeaec34b_8442_439b_a40b_984381ed097d),
    (Riscv64, Usr,  Verity,    0x8f1056be_9b05_47c4_81d6_be53128e5b54),
    (Riscv64, Usr,  Signature, 0xd2f9000a_7a18_453f_b5cd_4d32f77a7b32),
];

impl PartitionType {
    /// The type with this GUID, if it is known.
    pub fn of(guid: Guid) -> Option<Self> {
        TYPES
            .iter()
            .find(|(.., digits)| Guid::constant(*digits) == guid)
            .map(|&(architecture, designator, role, _)| Self { architecture, designator, role })
    }

    /// The GUID of the type.
    pub fn guid(self) -> Guid {
        let wanted = (self.architecture, self.designator, self.role);
        let find = |&&(architecture, designator, role, _): &&_| (architecture, designator, role) == wanted;
        let (.., digits) = TYPES.iter().find(find).expect("every combination is in the table");
        Guid::constant(*digits)
    }
}

/// The label of such a partition in `systemd-repart`, such as `root-x86-64-verity-sig`.
impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let designator = match self.designator {
            Root => "root",
            Usr => "usr",
        };
        let role = match self.role {
            Data => "",
            Verity => "-verity",
            Signature => "-verity-sig",
        };
        write!(f, "{designator}-{}{role}", self.architecture)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arm64 => "arm64",
            Riscv64 => "riscv64",
            X86_64 => "x86-64",
        })
    }
}

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    /// Parses the names of systemd.
    fn from_str(text: &str) -> Result<Self, UnknownArchitecture> {
        let all = [Arm64, Riscv64, X86_64];
        let found = all.into_iter().find(|architecture| architecture.to_string() == text);
        found.ok_or_else(|| UnknownArchitecture(text.to_owned()))
    }
}
