//! Finds the partitions of an image, and checks that they belong together.

use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

use super::error::ReadError;
use super::partition_type::{Architecture, Designator, PartitionType, Role};
use super::signature::{PARTITION_SIZE_MAX, Signature};
use super::window::Window;
use crate::gpt::{Partition, Table};
use crate::verity::{Checked, RootHash, Verifier};

/// An image that is open for reading.
///
/// Partitions of other types are ignored. Images of other tools may have no verity or no signature.
#[derive(Debug)]
pub struct Reader<R> {
    image: Arc<Mutex<R>>,
    table: Table,
    architecture: Architecture,
    designator: Designator,
    data: Partition,
    verity: Option<Partition>,
    signature: Option<(Partition, Signature)>,
    root_hash: Option<RootHash>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the partition table and the signature partition, which must be for the root hash in the UUIDs of
    /// the partitions. [`Reader::verify`] checks file system and tree.
    pub fn open(mut image: R) -> Result<Self, ReadError> {
        let table = Table::read(&mut image)?;
        let data = find(&table, |kind| kind.role == Role::Data)?;
        let (data, PartitionType { architecture, designator, .. }) =
            data.ok_or(ReadError::Absent { partitions: table.partitions.len() })?;
        let of = |role| find(&table, move |kind| kind == PartitionType { architecture, designator, role });
        let verity = of(Role::Verity)?.map(|(partition, _)| partition);
        let signature = of(Role::Signature)?.map(|(partition, _)| partition);
        let image = Arc::new(Mutex::new(image));
        let root_hash = verity.as_ref().map(|verity| {
            let mut hash = [0; 32];
            hash[..16].copy_from_slice(&data.id.0);
            hash[16..].copy_from_slice(&verity.id.0);
            RootHash(hash)
        });
        let signature = match signature {
            Some(partition) => Some((partition.clone(), read_signature(&image, &partition, root_hash)?)),
            None => None,
        };
        Ok(Self { image, table, architecture, designator, data, verity, signature, root_hash })
    }

    /// Its partition table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Its architecture.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Rejects an image for another architecture.
    pub fn require(&self, wanted: Architecture) -> Result<(), ReadError> {
        match self.architecture {
            found if found == wanted => Ok(()),
            found => Err(ReadError::Architecture { found, wanted }),
        }
    }

    /// Whether it contains a root file system or `/usr`.
    pub fn designator(&self) -> Designator {
        self.designator
    }

    /// The root hash of the file system, from the UUIDs of the partitions; `None` without a verity partition.
    pub fn root_hash(&self) -> Option<RootHash> {
        self.root_hash
    }

    /// The signature, if there is a partition for it. It was not verified.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref().map(|(_, signature)| signature)
    }

    /// The file system, without verification.
    pub fn filesystem(&self) -> Window<R> {
        self.window(&self.data)
    }

    /// The file system, verified against the root hash while it is read.
    pub fn checked(&self) -> Result<Checked<Window<R>, Window<R>>, ReadError> {
        Ok(Checked::new(self.filesystem(), self.verifier()?))
    }

    /// Verifies the file system against the root hash. Returns the number of bytes from its start that the
    /// hash covers.
    ///
    /// The partition may be longer; the kernel does not see the rest. The caller must check that the file
    /// system is not longer than what is covered.
    pub fn verify(&self) -> Result<u64, ReadError> {
        let mut verifier = self.verifier()?;
        let covered = verifier.superblock().data_size();
        let failed = |source| ReadError::Verity { partition: self.data.offset, source };
        if covered > self.data.size {
            return Err(failed(crate::verity::VerifyError::Length { length: self.data.size, covered }));
        }
        verifier.verify_range(&mut self.filesystem(), 0..covered).map_err(failed)?;
        Ok(covered)
    }

    /// Verifies that the root hash was signed with the key of one of these certificates, and returns that
    /// one.
    ///
    /// The file system is trusted only together with [`Reader::verify`] or [`Reader::checked`].
    #[cfg(feature = "pkcs7")]
    pub fn verify_signature<'a>(
        &self,
        trusted: &'a [crate::pkcs7::Certificate],
    ) -> Result<&'a crate::pkcs7::Certificate, ReadError> {
        let (_, signature) = self.signature.as_ref().ok_or(ReadError::NoSignature)?;
        let parsed = crate::pkcs7::Signature::parse(&signature.pkcs7)?;
        Ok(parsed.verify(&signature.root_hash, trusted)?)
    }

    fn verifier(&self) -> Result<Verifier<Window<R>>, ReadError> {
        let (verity, root_hash) = self.verity.as_ref().zip(self.root_hash).ok_or(ReadError::NoVerity)?;
        Verifier::open(self.window(verity), 0, root_hash)
            .map_err(|source| ReadError::Verity { partition: self.data.offset, source })
    }

    fn window(&self, partition: &Partition) -> Window<R> {
        Window::new(&self.image, partition.offset..partition.end())
    }
}

/// The only wanted partition, if there is one.
fn find(
    table: &Table,
    is_wanted: impl Fn(PartitionType) -> bool,
) -> Result<Option<(Partition, PartitionType)>, ReadError> {
    let mut found: Option<(usize, &Partition, PartitionType)> = None;
    for (number, partition) in table.partitions.iter().enumerate() {
        let Some(kind) = PartitionType::of(partition.kind).filter(|kind| is_wanted(*kind)) else { continue };
        if let Some((first, ..)) = found {
            let what = match kind.role {
                Role::Data => "file systems".to_owned(),
                Role::Verity | Role::Signature => kind.to_string(),
            };
            return Err(ReadError::Ambiguous { first: first + 1, second: number + 1, what });
        }
        found = Some((number, partition, kind));
    }
    Ok(found.map(|(_, partition, kind)| (partition.clone(), kind)))
}

fn read_signature<R: Read + Seek>(
    image: &Arc<Mutex<R>>,
    partition: &Partition,
    root_hash: Option<RootHash>,
) -> Result<Signature, ReadError> {
    let offset = partition.offset;
    if partition.size > PARTITION_SIZE_MAX {
        let reason = format!("{} bytes exceed the {PARTITION_SIZE_MAX} that systemd reads", partition.size);
        return Err(ReadError::Signature { offset, reason });
    }
    let mut bytes = Vec::new();
    Window::new(image, offset..partition.end())
        .read_to_end(&mut bytes)
        .map_err(|source| ReadError::Read { offset, source })?;
    let signature = Signature::from_partition(&bytes, offset)?;
    match root_hash.ok_or(ReadError::NoVerity)? {
        image if image == signature.root_hash => Ok(signature),
        image => Err(ReadError::OtherRootHash { offset, signed: signature.root_hash, image }),
    }
}
