import ArgumentParser
import Foundation
import Subprocess
import SystemPackage
import WAL

/// `walshipd demo`: the whole story on one machine.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "The whole story on one machine in a minute: writes, ships, kills, restores, compares.",
        discussion: """
            Three processes of this program: a writer that is fed real text of this machine, a daemon that ships its log, and an archive server. The writer and \
            the daemon are killed, the server goes away for a while; then everything is restored elsewhere and compared with what the \
            writer had been told was durable. Uses about four times --size of disk space while it runs.
            """)

    @Option(help: "How much text to write.", transform: ByteSize.parse)
    var size = ByteSize(256 << 20)

    @Option(help: "About how long the writing takes.", transform: DurationText.parse)
    var duration: Duration = .seconds(30)

    @Option(help: "Where to work: a directory that does not exist yet. Default: one of its own, removed at the end.")
    var dir: String?

    @Flag(help: "Keep the directory, to look around in it.")
    var keep = false

    func run() async throws {
        let work = dir ?? NSTemporaryDirectory() + "walshipd-demo-\(ProcessInfo.processInfo.processIdentifier)"
        guard !FileManager.default.fileExists(atPath: work) else {
            throw CommandError(.usage, "\(work) exists already; name a directory that does not, with --dir")
        }
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        defer { if !keep { try? FileManager.default.removeItem(atPath: work) } }
        try await tell(in: work)
        if keep { try Output.error.write(line: "everything is still in \(work)") }
    }

    private func tell(in work: String) async throws {
        let clock = ContinuousClock()
        let started = clock.now
        let say: @Sendable (String) -> Void = { words in
            let seconds = String(format: "%5.1f", (clock.now - started).inSeconds)
            // A reader who went away does not stop the story; the table will not reach him either.
            try? Output.error.write(line: "\(seconds) s  \(words)")
        }
        say("gathering text of this machine")
        let text = try DemoText.gather(into: work + "/text", bytes: Int(clamping: size.bytes))
        say("\(text.lines) lines, \(Amount.bytes(UInt64(text.bytes))) from \(text.files) files")
        let story = DemoStory()
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let archiveRoot = work + "/archive"
        try FileManager.default.createDirectory(atPath: archiveRoot, withIntermediateDirectories: false)
        let roles = DemoRoles(
            story: story, program: program, text: text, log: work + "/log", archiveRoot: archiveRoot,
            pace: Double(text.bytes) / max(duration.inSeconds, 0.001), say: say)

        let table = try await withThrowingTaskGroup(of: DemoTable?.self) { group in
            group.addTask {
                try await roles.serveArchive()
                return nil
            }
            group.addTask {
                try await roles.ship()
                return nil
            }
            group.addTask {
                try await roles.write()
                return nil
            }
            group.addTask {
                try await DemoWatch(story: story, log: work + "/log").run()
                story.reach(.shipped)
                say("the archive has everything")
                let table = try await finish(work: work, text: text, story: story, program: program, say: say)
                story.reach(.restored)
                return table
            }
            var table: DemoTable?
            for try await result in group { table = result ?? table }
            return table
        }
        if let table { for line in table.lines { try Output.standard.write(line: line) } }
    }

    private func finish(work: String, text: DemoText, story: DemoStory, program: String, say: @Sendable (String) -> Void)
        async throws -> DemoTable
    {
        let local = try LogReader.open(directory: work + "/log")
        let (head, durable) = (try local.headLSN, try local.durableLSN)
        local.close()
        say("local segments below LSN \(head) are truncated")
        guard let server = story.server else { throw CommandError(.failed, "the archive server was never there") }
        let clock = ContinuousClock()
        let started = clock.now
        let result = try await Subprocess.run(
            .path(FilePath(program)), arguments: ["restore", "--archive", server + "/demo", "--to", work + "/restored"],
            output: .discarded, error: .string(limit: DemoLimits.wordsMax))
        guard result.terminationStatus == .exited(0) else {
            throw CommandError(.failed, "walshipd restore ended with \(result.terminationStatus)\n\(result.standardError)")
        }
        let seconds = (clock.now - started).inSeconds
        say("restored into another directory; comparing with what was acknowledged")
        let comparison = try DemoComparison.run(
            restored: work + "/restored", text: text, acknowledged: story.acknowledged)
        return DemoTable(
            comparison: comparison, acknowledged: story.acknowledgedCount, rawBytes: durable.rawValue, localHead: head,
            archive: try DemoTable.measure(work + "/archive"), lag: story.largestLag, restoreSeconds: seconds)
    }
}
