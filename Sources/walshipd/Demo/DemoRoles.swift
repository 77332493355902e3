import Foundation
import Subprocess
import SystemPackage

/// The three processes of the story, each started, killed and started again by its own role. Every child ends with its role.
struct DemoRoles: Sendable {
    let story: DemoStory
    let program: String
    let text: DemoText
    let log: String
    let archiveRoot: String
    /// Bytes a second that the writer is given, so that there is time for things to happen.
    let pace: Double
    let say: @Sendable (String) -> Void

    // MARK: The archive server

    func serveArchive() async throws {
        try await serve(listen: "127.0.0.1:0") { story in story.share >= DemoLimits.serverDies }
        say("archive server killed with SIGKILL, away for \(Int(DemoLimits.serverAway)) s")
        try await Task.sleep(for: .seconds(DemoLimits.serverAway))
        guard let url = story.server, let address = url.split(separator: "/").last else { return }
        say("archive server back")
        try await serve(listen: String(address)) { $0.stage == .restored }
    }

    private func serve(listen: String, until isOver: @escaping @Sendable (DemoStory) -> Bool) async throws {
        let story = story
        let result = try await run(
            .path(FilePath(program)), arguments: ["serve", "--root", archiveRoot, "--listen", listen], input: .none,
            output: .sequence, error: .string(limit: DemoLimits.wordsMax)
        ) { execution in
            for try await line in execution.standardOutput.strings() {
                guard let url = line.split(separator: " ").last, url.hasPrefix("http") else { continue }
                story.note(server: url.trimmingCharacters(in: .whitespacesAndNewlines))
                break
            }
            guard story.server != nil else { return }
            try await story.wait(until: isOver)
            try execution.send(signal: .kill)
        }
        try require(result.terminationStatus, .signaled(9), "serve", result.standardError)
    }

    // MARK: The daemon

    func ship() async throws {
        try await story.wait { $0.server != nil }
        try await daemon(ending: .kill, with: .signaled(9)) { $0.share >= DemoLimits.daemonDies }
        say("daemon killed with SIGKILL")
        try await Task.sleep(for: .seconds(DemoLimits.daemonAway))
        say("daemon back: it goes on from its checkpoint")
        try await daemon(ending: .terminate, with: .exited(0)) { $0.stage >= .shipped }
    }

    private func daemon(
        ending signal: Signal, with status: TerminationStatus, until isOver: @escaping @Sendable (DemoStory) -> Bool
    ) async throws {
        guard let server = story.server else { return }
        let story = story
        let result = try await run(
            .path(FilePath(program)), arguments: ["run", "--log", log, "--archive", server + "/demo"], input: .none,
            output: .discarded, error: .string(limit: DemoLimits.wordsMax)
        ) { execution in
            try await story.wait(until: isOver)
            try execution.send(signal: signal)
        }
        try require(result.terminationStatus, status, "run", result.standardError)
    }

    // MARK: The writer

    func write() async throws {
        let killed = try await feed(from: 0, until: DemoLimits.writerDies)
        let resumed = story.acknowledgedCount
        say("writer killed with SIGKILL: it had been told that \(resumed) records are durable, \(killed - resumed) more were on their way")
        _ = try await feed(from: resumed, until: nil)
        story.reach(.written)
        say("all \(story.acknowledgedCount) records are durable")
    }

    /// Gives a writer the lines from `first` on; kills it when `share` of the text has been handed over. Returns how many lines were handed over.
    private func feed(from first: Int, until share: Double?) async throws -> Int {
        let result = try await run(
            .path(FilePath(program)),
            arguments: ["append", "--log", log, "--sync", "batch", "--ack", "--segment-size", String(DemoLimits.segmentSize)],
            input: .inputWriter, output: .sequence, error: .string(limit: DemoLimits.wordsMax)
        ) { execution in
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask {
                    for try await line in execution.standardOutput.strings() {
                        guard let lsn = UInt64(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                            throw CommandError(.failed, "the writer printed \"\(line)\" where an LSN belongs")
                        }
                        story.note(acknowledged: lsn)
                    }
                    return 0
                }
                group.addTask {
                    let handed = try await hand(lines: first, until: share) { bytes in
                        _ = try await execution.standardInputWriter.write(bytes)
                    }
                    if share == nil {
                        try await execution.standardInputWriter.finish()
                    } else {
                        try execution.send(signal: .kill)
                    }
                    return handed
                }
                return try await group.reduce(0, max)
            }
        }
        try require(result.terminationStatus, share == nil ? .exited(0) : .signaled(9), "append", result.standardError)
        return result.closureResult
    }

    /// Hands lines over at the pace of the story; returns the index of the first line that was not handed over.
    private func hand(lines first: Int, until share: Double?, _ write: ([UInt8]) async throws -> Void) async throws -> Int {
        var reader = try DemoTextReader(text)
        defer { try? reader.close() }
        let clock = ContinuousClock()
        let started = clock.now
        var line = 0
        var handed = 0
        var position = 0
        var burst = 0
        while let (bytes, count) = try reader.nextChunk() {
            defer {
                line += count
                position += bytes.count
            }
            guard line + count > first else { continue }
            let part = line >= first ? bytes : skip(first - line, in: bytes)
            try await write(part)
            handed += part.count
            let now = Double(position + bytes.count) / Double(text.bytes)
            story.note(share: max(story.share, now))
            if let share, now >= share {
                // The last of it goes in one go, so that the writer is killed in the middle of its work.
                burst += 1
                if burst == DemoLimits.burst { return line + count }
                continue
            }
            let due = started + .seconds(Double(handed) / pace)
            if due > clock.now { try await Task.sleep(until: due, clock: clock) }
        }
        return line
    }

    private func skip(_ lines: Int, in bytes: [UInt8]) -> [UInt8] {
        var rest = lines
        guard rest > 0, let end = bytes.firstIndex(where: { byte in
            if byte == UInt8(ascii: "\n") { rest -= 1 }
            return rest == 0
        }) else { return bytes }
        return Array(bytes[(end + 1)...])
    }

    private func require(_ status: TerminationStatus, _ wanted: TerminationStatus, _ command: String, _ words: String?) throws {
        guard status != wanted else { return }
        let last = (words ?? "").split(separator: "\n").suffix(5).joined(separator: "\n")
        throw CommandError(.failed, "walshipd \(command) ended with \(status) where \(wanted) was expected\n\(last)")
    }
}
