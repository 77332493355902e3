import Testing
import TestSupport
@testable import WAL

/// A log of segments on a simulated machine, made to be damaged.
struct LogFixture {
    static let segmentSize: UInt64 = 4096
    var machine: SimulatedFileSystem
    let directory: String
    /// What lies on the machine at a moment follows from the calls alone.
    var helpers = HelperMode.synchronous

    init(_ machine: SimulatedFileSystem = SimulatedFileSystem(), directory: String = "/log") {
        self.machine = machine
        self.directory = directory
    }

    func open(segmentSize: Int? = 4096, _ configuration: LogConfiguration = .init(), time: any TimeSource = SimulatedTimeSource())
        throws(WALError) -> SegmentedLog
    {
        var configuration = configuration
        configuration.helpers = helpers
        return try SegmentedLog(
            store: SegmentedStore(directory: directory, segmentSize: segmentSize, fileSystem: machine, time: time),
            configuration: configuration)
    }

    /// Appends records of 200 bytes and makes them durable; returns their LSNs.
    @discardableResult
    func fill(_ count: Int = 60, closing: Bool = true) throws -> [LSN] {
        let log = try open()
        let lsns = try (0..<count).map { try log.append(sampleRecord($0, count: 200)) }
        try log.sync()
        if closing { try log.close() }
        return lsns
    }

    func path(_ name: String) -> String { directory + "/" + name }
    func segment(_ index: UInt64) -> String { path(SegmentName(index: index).fileName) }

    /// Every file's bytes, without what the locks leave.
    func contents() throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try machine.list(directory) where !["lock", "maintenance", "slots"].contains(name) {
            result[name] = try machine.contents(path(name))
        }
        if try machine.status(path("slots")) != nil {
            for name in try machine.list(path("slots")) { result["slots/" + name] = try machine.contents(path("slots/" + name)) }
        }
        return result
    }

    func copy(to other: String) throws -> LogFixture {
        try machine.makeDirectory(other)
        for name in try machine.list(directory) {
            guard try machine.status(path(name))?.kind == .regular else { continue }
            try machine.create(other + "/" + name, try machine.contents(path(name)))
        }
        return LogFixture(machine, directory: other)
    }

    func write(_ bytes: [UInt8], _ path: String, at offset: UInt64) throws {
        let file = try machine.open(path, .readWrite)
        defer { file.close() }
        try file.write(bytes, at: offset)
        try file.sync()
    }

    /// Empties the feet's durable cells, whether or not the log had the time to write them.
    func forgetCells(ofSegments indices: Range<UInt64>) throws {
        for index in indices {
            for place in SegmentFoot.durableOffsets {
                try write([UInt8](repeating: 0, count: SegmentFoot.DurableCell.size), segment(index), at: Self.segmentSize + UInt64(place))
            }
        }
    }

    /// A destination's slot, changed; the sidecar stays attached.
    func attachDestination(_ change: (inout SlotState) -> Void) throws -> LogSidecar {
        let sidecar = try LogSidecar.attach(directory: directory, fileSystem: machine, time: SimulatedTimeSource())
        let epoch = try sidecar.reader.epochs.current.id
        let slot = try sidecar.takeSlot("archive") {
            SlotState(kind: .destination, logID: sidecar.reader.logID, position: .zero, epoch: epoch)
        }
        try slot.update(change)
        slot.close()
        return sidecar
    }

    /// Expects the opening to be refused with an error that `matches`, and every byte to stay as it was.
    func expectRefusal(
        _ what: Comment, _ configuration: LogConfiguration = .init(), segmentSize: Int? = nil,
        sourceLocation: SourceLocation = #_sourceLocation, matches: (WALError) -> Bool
    ) throws {
        let before = try contents()
        do throws(WALError) {
            let log = try open(segmentSize: segmentSize, configuration)
            Issue.record("\(what): opened, end \(log.endLSN)", sourceLocation: sourceLocation)
        } catch {
            #expect(matches(error), "\(what): \(error)", sourceLocation: sourceLocation)
        }
        #expect(try contents() == before, what, sourceLocation: sourceLocation)
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0, what, sourceLocation: sourceLocation)
    }
}

extension WALError {
    var isCorruption: Bool { if case .corruption = self { true } else { false } }
    func isCorruption(at lsn: LSN) -> Bool { if case .corruption(lsn, _) = self { true } else { false } }
    var isNotALog: Bool { if case .notALog = self { true } else { false } }
    var isCopiedWhileLive: Bool { if case .copiedWhileLive = self { true } else { false } }
    var isParameterMismatch: Bool { if case .parameterMismatch = self { true } else { false } }
}
