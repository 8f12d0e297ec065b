//! Landlock, without best effort: what the kernel lacks is an error.

use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::Linux;
use super::linux::last;
use crate::grants::{Grant, LEAST_ABI, Right};
use crate::view::walk;

/// The rights of [`LEAST_ABI`], on every kernel: what a newer one could restrict too is held by the filters.
const RIGHTS: ABI = ABI::V6;

/// To ask for the version instead of making a ruleset (linux/landlock.h).
const VERSION: libc::c_long = 1;

/// The ABI of the running kernel.
///
/// # Errors
/// What landlock_create_ruleset(2) says where there is no Landlock.
pub fn landlock_abi() -> Result<u32, Errno> {
    // SAFETY: with this flag the kernel takes no pointer and a size of 0.
    let abi = last(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) })?;
    u32::try_from(abi).map_err(|_| Errno::NOSYS)
}

impl Linux {
    pub(super) fn handle(&mut self) -> Result<(), Errno> {
        debug_assert_eq!(RIGHTS as u32, LEAST_ABI);
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(RIGHTS))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(RIGHTS)))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(RIGHTS)))
            .and_then(Ruleset::create);
        self.ruleset = Some(ruleset.map_err(|_| errno())?);
        Ok(())
    }

    pub(super) fn allow(&mut self, Grant { source, is_folder, right }: &Grant) -> Result<(), Errno> {
        let root = open(source.root.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let at: OwnedFd = walk(&root, &source.path)?;
        let all = rights(*right);
        let rights = if *is_folder { all } else { all & AccessFs::from_file(RIGHTS) };
        let ruleset = self.ruleset.take().ok_or(Errno::BADF)?;
        self.ruleset = Some(ruleset.add_rule(PathBeneath::new(at, rights)).map_err(|_| errno())?);
        Ok(())
    }

    pub(super) fn allow_connect(&mut self, port: u16) -> Result<(), Errno> {
        let ruleset = self.ruleset.take().ok_or(Errno::BADF)?;
        self.ruleset = Some(ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp)).map_err(|_| errno())?);
        Ok(())
    }

    pub(super) fn restrict(&mut self) -> Result<(), Errno> {
        let status = self.ruleset.take().ok_or(Errno::BADF)?.restrict_self().map_err(|_| errno())?;
        if status.ruleset == RulesetStatus::FullyEnforced { Ok(()) } else { Err(Errno::NOSYS) }
    }
}

fn rights(right: Right) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // No devices: to make them takes a capability that is not there, and no grant speaks of them.
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::MakeFifo
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    match right {
        Right::Read => read,
        Right::Execute => read | AccessFs::Execute,
        Right::Write => write,
        Right::Scratch => read | write,
        Right::Device => AccessFs::ReadFile | AccessFs::WriteFile,
    }
}

/// The crate's errors are of many types, and behind each of those that a right table can't cause is a system call.
fn errno() -> Errno {
    last(-1).err().unwrap_or(Errno::INVAL)
}
