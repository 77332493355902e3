import Foundation
import TestSupport
import Testing
import WAL

/// What Swift writes as a log, a reader that knows only docs/format/log.md reads, and both find the same.
@Suite struct IndependentLogTests {
    static func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

    static func records(_ sequence: RecordSequence) throws -> [IndependentReader.Record] {
        try sequence.map { result in
            let record = try result.get()
            return IndependentReader.Record(lsn: record.lsn.rawValue, data: hex(record.data))
        }
    }

    /// Records of many sizes, the empty one and one longer than two segments among them.
    static func fill(_ log: SegmentedLog, seed: UInt64) throws -> [LSN] {
        var generator = SeededGenerator(seed: seed)
        let counts = [0, 1, 9000] + (0..<120).map { _ in Int.random(in: 0...300, using: &generator) }
        return try counts.map { count in
            try log.append((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
    }

    static func copy(of golden: String, to directory: String) throws -> String {
        let path = "\(directory)/copy"
        try FileManager.default.copyItem(atPath: House.root.appending(path: "Tests/Golden/log/\(golden)").path, toPath: path)
        return path
    }

    private func expectAgreement(_ directory: String, _ sidecar: LogSidecar, _ independent: IndependentReader) throws {
        let reader = sidecar.reader
        #expect(independent.refusal == nil)
        #expect(independent.only("identity").map(\.log_id) == ["\(reader.logID)"])
        #expect(independent.only("identity").map(\.segment_size) == [reader.segmentSize])
        #expect(try independent.only("facts").map(\.head) == [reader.headLSN.rawValue])
        #expect(try independent.only("epoch").map(\.number) == reader.epochs.epochs.map(\.number))
        #expect(try independent.only("epoch").map(\.id) == reader.epochs.epochs.map { "\($0.id)" })
        #expect(try independent.only("epoch").map(\.start) == reader.epochs.epochs.map(\.start.rawValue))
        #expect(try independent.only("slot").map(\.name) == sidecar.slotNames().sorted())
        for slot in independent.only("slot") {
            let name = try #require(slot.name)
            let state = try #require(try sidecar.slotState(name))
            #expect(slot.position == state.position.rawValue)
            #expect(slot.archived == state.archived.rawValue)
            #expect(slot.generation == state.generation)
            #expect(slot.kind == (state.kind == .pin ? "pin" : "destination"))
        }
        #expect(try independent.only("end").map(\.lsn) == [reader.durableLSN.rawValue])
        #expect(try independent.records == Self.records(reader.iter()))
    }

    @Test func theGoldenLogIsReadAlike() async throws {
        try await withTemporaryDirectory { directory in
            let path = try Self.copy(of: "directory", to: directory)
            let independent = try await IndependentReader("log", path)
            #expect(independent.records.count == 7)
            let sidecar = try LogSidecar.attach(directory: path)
            defer { sidecar.detach() }
            try expectAgreement(path, sidecar, independent)
        }
    }

    @Test func theGoldenLogInOneFileIsReadAlike() async throws {
        let independent = try await IndependentReader("log", House.root.appending(path: "Tests/Golden/log/file/small").path)
        #expect(independent.refusal == nil)
        #expect(independent.records.map(\.lsn) == [0, 18, 26, 46])
        #expect(independent.only("end").map(\.lsn) == [67])
    }

    /// A directory that is being restored is no log; what it is going to be is read alike, and damage to that is not believed.
    @Test func aRestoreThatIsNotCompleteIsReadAlike() async throws {
        try await withTemporaryDirectory { directory in
            let golden = try Data(contentsOf: House.root.appending(path: "Tests/Golden/log/restoring.bin"))
            let mark = try ReplicaMark.decode(Array(golden))
            let path = URL(filePath: "\(directory)/restoring")
            try golden.write(to: path)
            let independent = try await IndependentReader("log", directory)
            let line = try #require(independent.only("restoring").first)
            #expect(independent.refusal?.refused.contains("no log yet") == true && independent.lines.count == 1)
            #expect(line.log_id == "\(mark.logID)" && line.segment_size == Int(mark.segmentSize) && line.head == mark.head.rawValue)
            #expect(mark.end == .through(LSN(try #require(line.lsn))) && line.target == 2 && line.synced == mark.synced.rawValue && mark.synced == LSN(4096))
            for offset in [0, 8, 13, 20, 33, 41, 50, 57, 512, 521] {
                var bad = golden
                bad[offset] ^= 0x10
                try bad.write(to: path)
                let damaged = try await IndependentReader("log", directory)
                if offset < 512 {
                    #expect(damaged.lines.isEmpty && damaged.refusal != nil, "byte \(offset)")
                } else {
                    #expect(damaged.only("restoring").map(\.synced) == [0], "byte \(offset)")
                }
            }
        }
    }

    @Test func aFreshLogIsReadAlikeBesideItsWriterAndAfterwards() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 4096)
            let lsns = try Self.fill(log, seed: 1)
            try await log.sync()
            try log.pin("reports", at: lsns[40])
            try log.truncateBefore(lsns[60])
            #expect(log.headLSN == lsns[40])

            let sidecar = try LogSidecar.attach(directory: path)
            let beside = try await IndependentReader("log", path)
            #expect(beside.only("live").map(\.believed) == [true])
            #expect(beside.only("live").map(\.locked) == [true])
            try expectAgreement(path, sidecar, beside)
            sidecar.detach()

            try log.append("the last word".utf8)
            try log.close()
            let after = try LogSidecar.attach(directory: path)
            defer { after.detach() }
            try expectAgreement(path, after, await IndependentReader("log", path))
            // Another machine has the files only, not the running kernel's word; after a clean close they say the same.
            let elsewhere = try await IndependentReader("log", path, "--elsewhere")
            #expect(elsewhere.only("live").map(\.believed) == [false])
            try expectAgreement(path, after, elsewhere)
        }
    }

    @Test func bothFindTheSameDamageAtTheSamePlace() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 4096)
            _ = try Self.fill(log, seed: 2)
            let end = log.endLSN.rawValue
            try log.close()
            let seed: UInt64 = 3
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<8 {
                let lsn = UInt64.random(in: 0..<end, using: &generator)
                let segment = "\(path)/\(String(repeating: "0", count: 19))\(lsn / 4096).wal"
                try #require(lsn / 4096 < 10)
                let intact = try Data(contentsOf: URL(filePath: segment))
                var damaged = intact
                damaged[Int(lsn % 4096)] ^= 1 << UInt8.random(in: 0...7, using: &generator)
                try damaged.write(to: URL(filePath: segment))

                let independent = try await IndependentReader("log", path)
                let reader = try LogReader.open(directory: path)
                var found: LSN?
                for result in reader.iter() {
                    if case .failure(.corruption(let lsn, _)) = result { found = lsn }
                }
                reader.close()
                #expect(found != nil, "seed \(seed), LSN \(lsn)")
                #expect(independent.refusal?.lsn == found?.rawValue, "seed \(seed), LSN \(lsn)")
                try intact.write(to: URL(filePath: segment))
            }
        }
    }
}
