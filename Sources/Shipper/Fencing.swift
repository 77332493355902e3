import Archive

/// What is asked of a store before a log is shipped to it: how surely it keeps two writers of one archive apart.
///
/// Either way the claim decides who owns an epoch, and the other is told by its next look. What a condition adds is that nothing can replace an
/// object by mistake: not a request that comes late, and not a second machine under the same identity.
public enum Fencing: String, CaseIterable, Hashable, Sendable {
    /// Only a store that refuses to create what is there already, as its probe saw.
    case required
    /// Any store; what it lacks is named in the status.
    case bestEffort = "best-effort"

    /// Why a store is refused; nil where it is not. `capabilities` are those of a probe.
    func refusal(_ capabilities: StoreCapabilities, of store: String) -> ArchiveError? {
        guard self == .required, let weakness = capabilities.fencingWeakness else { return nil }
        return ArchiveError(
            .unsupported, "\(store) \(weakness), and fencing is required",
            hint: "use a store that honours If-None-Match, or set fencing to best-effort; nothing was changed")
    }
}
