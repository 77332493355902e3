/// What happens when more waits for a destination than its limit allows.
public enum BacklogPolicy: String, Hashable, Sendable, CaseIterable {
    /// The log grows, and everybody is told.
    case keep
    /// Appends wait until less is left to ship.
    case block
    /// The oldest bytes are given up: recorded as a gap, then removed.
    case drop
}
