import Archive
import Foundation
import Logging
import Shipper
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// Reading an archive while the replies are late, cut, changed or lies: the right bytes or an error with a name, never other bytes, never fewer.
@Suite struct ReadingFaultTests {
    private static let name = LogName("orders")!

    /// What happens to a reply, or in its place.
    static let faults: [(name: String, reply: FaultServer.Reply)] = {
        func forward(_ reply: Forwarding.Reply) -> FaultServer.Reply { .forward(Forwarding(reply: reply)) }
        var faults: [(String, FaultServer.Reply)] = [
            ("lost", forward(.lost)), ("reset", forward(.reset)), ("delayed", .forward(Forwarding(replyDelay: .milliseconds(5)))),
            ("asked twice", .forward(Forwarding(arrivals: [0, 0]))), ("an empty 200", .respond(200)), ("an empty 206", .respond(206)),
            ("a 204", .respond(204)), ("a 416", .respond(416)), ("a 503", .respond(503)), ("a 403", .respond(403)), ("a redirect", .respond(302)),
            ("a page", .respond(200, headers: [("Content-Type", "text/html")], body: Array("<html>log in</html>".utf8))),
            ("another range", forward(.lying([("Content-Range", "bytes 1-8/9")]))),
            ("encoded", forward(.lying([("Content-Encoding", "gzip")]))), ("lying checksums", forward(.lying([("ETag", "\"0\""), ("Content-MD5", "AA==")]))),
        ]
        for difference in [-1, 1, -40, 4000] { faults.append(("length off by \(difference)", forward(.wrongLength(by: difference)))) }
        for permille in [0, 500, 999] { faults.append(("cut at \(permille)", forward(.truncated(permille: permille)))) }
        for permille in [0, 127, 391, 518, 703, 866, 1000] { faults.append(("flipped at \(permille)", forward(.flipped(permille: permille)))) }
        return faults
    }()

    private struct Sample {
        var target: FaultTarget
        var records: [LSN: [UInt8]]
        var end: LSN
    }

    /// Two segments and a few tails.
    private func archive(_ target: FaultTarget, _ scratch: String) async throws -> Sample {
        let log = try SegmentedLog.open(directory: "\(scratch)/log", segmentSize: 4096)
        var sample = Sample(target: target, records: [:], end: .zero)
        let store = try target.store("reading")
        for (count, size) in [(30, 300), (3, 50), (3, 50)] {
            for number in 0..<count {
                let record = [UInt8](repeating: UInt8(number), count: size)
                sample.records[try log.append(record)] = record
            }
            let sync: () throws -> LSN = { try log.sync() }
            sample.end = try sync()
            var settings = ShipperSettings()
            settings.claimSettle = .milliseconds(1)
            let shipper = LogShipper(
                directory: "\(scratch)/log", name: Self.name, slot: "d-1", url: store.name, store: store, settings: settings,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await shipper.runOnce(timeout: .seconds(60))
        }
        try log.close()
        return sample
    }

    /// Every reply of a restore in turn, each with every fault. `persists`: the reply is the same whenever it is asked for.
    private func everyReply(of sample: Sample, _ scratch: String, persists: Bool, every: Int) async throws {
        let (target, end) = (sample.target, sample.end)
        let whole = try await restore(target, scratch, at: .max, persists: false, reply: .close)
        #expect(try whole.outcome.get() == end)
        try FileManager.default.removeItem(atPath: "\(scratch)/restored")
        var refused = 0
        for (index, fault) in Self.faults.enumerated() {
            for number in stride(from: index % every, to: whole.requests, by: every) {
                let run = try await restore(target, scratch, at: number, persists: persists, reply: fault.reply)
                let what = "reply \(number) \(fault.name), persisting: \(persists)"
                switch run.outcome {
                case .success(let restored):
                    #expect(restored == end, "\(what): fewer bytes with success")
                    #expect(try records("\(scratch)/restored") == sample.records, "\(what): other records with success")
                case .failure(let error):
                    refused += 1
                    #expect(error is ArchiveError || error is WALError || error is RestoreError, "\(what): \(error)")
                    #expect(!FileManager.default.fileExists(atPath: "\(scratch)/restored/control"), "\(what): a log is left")
                }
                if FileManager.default.fileExists(atPath: "\(scratch)/restored") { try FileManager.default.removeItem(atPath: "\(scratch)/restored") }
            }
        }
        #expect(refused > 0)
    }

    private func restore(
        _ target: FaultTarget, _ scratch: String, at number: Int, persists: Bool, reply: FaultServer.Reply
    ) async throws -> (outcome: Result<LSN, any Error>, requests: Int) {
        let path = Mutex<String?>(nil)
        let proxy = try FaultServer(before: target.port) { request in
            let isMet = path.withLock { path in
                if request.number == number { path = "\(request.method) \(request.path)" }
                return persists ? path == "\(request.method) \(request.path)" : request.number == number
            }
            return isMet ? reply : .forward(Forwarding())
        }
        defer { proxy.stop() }
        do {
            let patience: @Sendable () -> any RetryWait = { RetryTimer(RetryPolicy(attemptsMax: 3, delayFirst: 0.001, delayMax: 0.002)) }
            let reader = try await ArchiveReader.open(store: try target.store("reading", through: proxy.port), log: Self.name, patience: patience)
            return (.success(try await Restore(reader).run(into: "\(scratch)/restored").end), proxy.requests.count)
        } catch {
            return (.failure(error), proxy.requests.count)
        }
    }

    private func records(_ directory: String) throws -> [LSN: [UInt8]] {
        Dictionary(uniqueKeysWithValues: try LogContents.records(directory).map { ($0.lsn, $0.data) })
    }

    @Test(arguments: [false, true]) func noReplyMakesARestoreGiveOtherOrFewerBytes(persists: Bool) async throws {
        try await withTemporaryDirectory { scratch in
            let sample = try await archive(.nginx(), scratch)
            try await everyReply(of: sample, scratch, persists: persists, every: FaultScriptTests.isLong ? 1 : 9)
        }
    }
}
