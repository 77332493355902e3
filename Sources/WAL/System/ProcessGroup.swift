import Glibc

/// A program that was started as the leader of a process group of its own, with whatever it has started in turn.
package enum ProcessGroup {
    /// kill(2) of the whole group, by SIGTERM, or by SIGKILL, which cannot be ignored. Nothing happens where none of it is left.
    package static func end(leader: Int32, forcibly: Bool) {
        precondition(leader > 1, "\(leader) leads no group of its own")
        _ = kill(-leader, forcibly ? SIGKILL : SIGTERM)
    }
}
