import Follower
import WAL

/// What a restore says while it runs. Not for two tasks at once.
final class RestoreScreen {
    private var bar = ProgressBar("restoring")
    private let names: [String]
    private var isBegun = false

    /// The archives, in the order of the plan.
    init(_ names: [String]) { self.names = names }

    func show(_ progress: Restore.Progress) {
        if !isBegun {
            isBegun = true
            say("restoring \(ProgressBar.size(progress.total))" + (progress.done > 0 ? ", of which \(ProgressBar.size(progress.done)) are there" : ""))
        }
        bar.show(done: progress.done, total: progress.total)
    }

    func note(_ problem: RestorePlan.Problem) { say(RestoreScreen.words(problem, names)) }

    static func words(_ problem: RestorePlan.Problem, _ names: [String]) -> String {
        "walshipd restore: not had from \(names[problem.archive]): \(problem.error)"
    }

    func clear() { bar.clear() }

    private func say(_ line: String) {
        do throws(WALError) {
            try bar.say(line)
        } catch {
            // Whoever read it has gone; the command's last words will fail and say so.
        }
    }
}
