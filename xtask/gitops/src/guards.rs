//! [`Guard`]: every reason not to act, or not to act alone. The list is closed; each has a sentence, a
//! heading in `docs/runbooks.md` and a test.

use std::fmt;

macro_rules! guards {
    ($($(#[$doc:meta])* $variant:ident $name:literal $sentence:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Guard {
            $($(#[$doc])* $variant,)*
        }

        impl Guard {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for Guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $sentence,)* })
            }
        }
    };
}

guards! {
    // About an event.
    NotOnMain "not-on-main"
        "the reported revision is not on main, or older than the environment"
    RevisionUnknown "revision-unknown"
        "the report does not say which revision cannot be rendered"
    Duplicate "duplicate"
        "this was already dealt with"
    Superseded "superseded"
        "a newer change of this environment has taken over"
    AlreadyVerified "already-verified"
        "this change is already marked as verified"
    RolledBack "rolled-back"
        "this change was rolled back, so it is not marked as verified"
    NotSmoked "not-smoked"
        "no smoke test ran for this change, so it is not marked as verified"
    HoldsUnreadable "holds-unreadable"
        "kustomize/holds.yaml cannot be read, so nothing is known to be free to run"
    Frozen "frozen"
        "the environment is frozen"
    FailedAfterVerified "failed-after-verified"
        "a change that was verified before fails now, so nothing in Git explains it"
    FailedRollback "failed-rollback"
        "a rollback itself failed"
    NoVerdict "no-verdict"
        "the report does not say that the release is bad"
    TooManyRollbacks "too-many-rollbacks"
        "two rollbacks within 24 hours are enough"
    NothingToRestore "nothing-to-restore"
        "no verified pin that is free to run differs from the failed one"
    ConfigAtFault "config-at-fault"
        "the pin is the last verified one, so the configuration is at fault"
    ConfigAlsoChanged "config-also-changed"
        "pin and configuration both changed, and a failed rollout does not say which is at fault"

    // About a plan.
    NotByteIdentical "not-byte-identical"
        "the rollback would not restore exactly what was verified"
    TouchesMore "touches-more"
        "the commit would touch files that such a change does not own"
    ImageMissing "image-missing"
        "the image to run is not in its registry"
    ImageUnchecked "image-unchecked"
        "the registry does not say whether the image to run is there"
    SignatureInvalid "signature-invalid"
        "the signature of the image to run is missing or not valid"
    Contended "contended"
        "others kept pushing to main until all tries were used up"

    // About a command.
    Held "held"
        "the image is quarantined"
    InFlight "in-flight"
        "the newest change of the environment is not verified yet"
    NotVerified "not-verified"
        "the newest change of the source environment is not verified"
    NothingReleased "nothing-released"
        "nothing was ever released there, or its pin cannot be read"
    NothingToDo "nothing-to-do"
        "everything already is as asked"
    UnknownVersion "unknown-version"
        "no verified pin that is free to run has this version"
}

impl Guard {
    /// Its heading in `docs/runbooks.md`.
    pub fn runbook(self) -> String {
        format!("docs/runbooks.md#{}", self.name())
    }
}
