import Foundation
import TestSupport

/// Runs Tests/Independent/wal_reader.py, which was written from the format documents alone.
struct IndependentReader {
    /// One line of its output; fields that a kind of line does not have are nil.
    struct Line: Decodable {
        var what: String
        var lsn: UInt64?
        var data: String?
        var log_id: String?
        var segment_size: Int?
        var head: UInt64?
        var floor: UInt64?
        var number: UInt64?
        var id: String?
        var start: UInt64?
        var end: UInt64?
        var name: String?
        var kind: String?
        var position: UInt64?
        var archived: UInt64?
        var generation: UInt64?
        var believed: Bool?
        var locked: Bool?
        var key: String?
        var digest: String?
        var count: UInt64?
        var because: String?
        var target: Int?
        var synced: UInt64?
    }

    struct Record: Equatable {
        var lsn: UInt64
        var data: String
    }

    struct Refusal: Decodable, Equatable {
        var refused: String
        var lsn: UInt64?
    }

    var lines: [Line]
    var refusal: Refusal?

    var records: [Record] {
        lines.compactMap { line in
            guard line.what == "record", let lsn = line.lsn, let data = line.data else { return nil }
            return Record(lsn: lsn, data: data)
        }
    }

    func only(_ what: String) -> [Line] { lines.filter { $0.what == what } }

    /// - Parameter arguments: as in its help: `log PATH` or `archive DIRECTORY`, and options.
    init(_ arguments: String...) async throws { try await self.init(arguments: arguments) }

    init(arguments: [String]) async throws {
        let script = House.root.appending(path: "Tests/Independent/wal_reader.py").path
        let decoder = JSONDecoder()
        (lines, refusal) = try await withTemporaryDirectory { directory in
            let process = try ChildProcess(
                "python3", [script] + arguments, in: directory, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
            let exit = try await process.waitForExit(within: .seconds(60))
            let lines = try process.standardOutput.split(separator: "\n").map { try decoder.decode(Line.self, from: Data($0.utf8)) }
            switch exit {
            case .exited(0): return (lines, nil)
            case .exited(3): return (lines, try decoder.decode(Refusal.self, from: Data(process.standardError.utf8)))
            default: throw ServerError("the independent reader ended with \(exit): \(process.standardError)")
            }
        }
    }
}
