import Foundation
import Synchronization
import TestSupport
import Testing
import WAL

@testable import walshipd

/// SIGTERM to the real program while its storage is well, slow, hanging or gone: the tail is archived within the deadline, or the program ends in time
/// all the same and says what is left. Whatever was archived, partial tail included, restores.
@Suite struct ShutdownTests {
    enum Storage: CaseIterable {
        case well, slow, hanging, refusing, gone, hangingFromTheBeginning
    }

    @Test(arguments: Storage.allCases) func theEndComesInTimeWithTheTailArchivedOrWithWhatIsLeftSaid(_ storage: Storage) async throws {
        try await withScratch { scratch async throws in
            let nginx = try await NginxServer.start()
            let isBad = Mutex(storage == .hangingFromTheBeginning)
            let server = try FaultServer(before: nginx.port) { request in
                guard isBad.withLock({ $0 }) else { return .forward(Forwarding()) }
                switch storage {
                case .well, .gone: return .forward(Forwarding())
                case .slow: return .forward(Forwarding(delay: .milliseconds(40)))
                case .refusing: return .respond(503)
                case .hanging, .hangingFromTheBeginning: return .stall
                }
            }
            defer { server.stop() }
            let log = try SegmentedLog.open(directory: "\(scratch)/log", segmentSize: 4096)
            func write(_ count: Int) throws -> LSN {
                for number in 0..<count { _ = try log.append("record \(number) of many".utf8) }
                let sync: () throws -> LSN = { try log.sync() }
                return try sync()
            }
            let first = try write(300)
            let daemon = try Program(
                Program.walshipd,
                [
                    "run", "--log", "\(scratch)/log", "--archive", "\(server.url)/a/orders", "--ship-claim-settle", "10ms", "--ship-tail-interval", "off",
                    "--shutdown-deadline", storage == .well || storage == .slow ? "60s" : "1s", "--retry-delay-max", "100ms",
                ], in: scratch, environment: ["no_proxy": "127.0.0.1"])
            let closed = LSN(first.rawValue / 4096 * 4096)
            func archived() throws -> LSN {
                let sidecar = try LogSidecar.attach(directory: "\(scratch)/log")
                defer { sidecar.detach() }
                guard let slot = try sidecar.slotNames().first else { return .zero }
                return try sidecar.slotState(slot)?.archived ?? .zero
            }
            if storage == .hangingFromTheBeginning {
                #expect(try await wait(until: { !server.requests.isEmpty }))
            } else {
                #expect(try await wait(until: { try archived() >= closed }))
            }
            isBad.withLock { $0 = true }
            if storage == .gone { server.stop() }
            // Less than a segment: the tail alone is left.
            let end = try write(3)
            daemon.signal(SIGTERM)
            let ended = try await daemon.ended(seconds: 90)
            #expect(ended.code == 0, "\(ended.error)")
            switch storage {
            case .well, .slow:
                #expect(try archived() == end)
                #expect(!ended.error.contains("ended before everything was archived"), "\(ended.error)")
            case .hanging, .refusing, .gone, .hangingFromTheBeginning:
                #expect(try archived() < end)
                #expect(ended.error.contains("ended before everything was archived"), "\(ended.error)")
            }
            if storage != .hangingFromTheBeginning {
                let restore = try await Program.run(
                    Program.walshipd, ["restore", "--archive", "\(nginx.url)/a/orders", "--to", "\(scratch)/restored"], in: scratch,
                    environment: ["no_proxy": "127.0.0.1"])
                #expect(restore.code == 0, "\(restore.error)")
                let reader = try LogReader.open(directory: "\(scratch)/restored")
                defer { reader.close() }

                // The last whole record of what was archived ends there.
                #expect(try reader.durableLSN <= archived() && reader.durableLSN.advanced(by: 64) >= archived())
            }
            try log.close()
        }
    }
}
