import Foundation
import WAL

/// Watches the log and its slot while everything happens: the lag between durable and archived, and the moment when there is none left.
struct DemoWatch: Sendable {
    let story: DemoStory
    let log: String

    /// Returns when the archive has everything that the writer was told is durable.
    func run() async throws {
        try await story.wait { _ in FileManager.default.fileExists(atPath: log + "/control") }
        let sidecar = try LogSidecar.attach(directory: log)
        defer { sidecar.detach() }
        let clock = ContinuousClock()
        var written: ContinuousClock.Instant?
        // When each durable LSN was first seen, oldest first: how old is the oldest byte that is not archived?
        var seen: [(lsn: LSN, at: ContinuousClock.Instant)] = []
        while true {
            let now = clock.now
            let durable = try sidecar.reader.durableLSN
            if seen.last.map({ $0.lsn < durable }) ?? true { seen.append((durable, now)) }
            var archived = LSN.zero
            for name in try sidecar.slotNames() { archived = max(archived, try sidecar.slotState(name)?.archived ?? .zero) }
            seen.removeAll { $0.lsn <= archived }
            let age = seen.first.map { now - $0.at } ?? .zero
            story.note(
                lagBytes: durable > archived ? durable.distance(from: archived) : 0,
                seconds: Double(age.components.seconds) + Double(age.components.attoseconds) / 1e18)
            if story.stage >= .written {
                if archived >= durable { return }
                let since = written ?? now
                written = since
                guard now - since < .seconds(DemoLimits.drainMax) else {
                    throw CommandError(.storage, "the archive is still behind (\(archived) of \(durable)) after \(Int(DemoLimits.drainMax)) s")
                }
            }
            try await Task.sleep(for: .milliseconds(DemoLimits.watchInterval))
        }
    }
}
