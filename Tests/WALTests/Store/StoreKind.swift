import Testing
import TestSupport
import WAL

/// Every store, each on every file system that it can lie on.
enum StoreKind: CaseIterable, CustomTestStringConvertible {
    case memory, segmentsOnLinux, segmentsOnSimulation, fileOnLinux, fileOnSimulation

    var testDescription: String { "\(self)" }
    var survivesTheProcess: Bool { self != .memory }

    /// A place for one log; every store made of it is that log's.
    struct Place {
        let make: () -> AnyStore
        func open(_ configuration: LogConfiguration = .init()) throws(WALError) -> AnyLog {
            try AnyLog(store: make(), configuration: configuration)
        }
    }

    func run(segmentSize: Int = 4096, _ body: (Place) throws -> Void) throws {
        switch self {
        case .memory:
            let store = MemoryStore(segmentSize: segmentSize)
            try body(Place { AnyStore(store) })
        case .segmentsOnLinux, .fileOnLinux:
            try withTemporaryDirectory { directory in
                try body(place(directory, LinuxFileSystem(), segmentSize))
            }
        case .segmentsOnSimulation, .fileOnSimulation:
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/work")
            try body(place("/work", machine, segmentSize))
            #expect(machine.counters.openFiles == 0, "descriptors left open")
            #expect(machine.counters.mappings == 0, "mappings left")
        }
    }

    func run(segmentSize: Int = 4096, _ body: (Place) async throws -> Void) async throws {
        switch self {
        case .memory:
            let store = MemoryStore(segmentSize: segmentSize)
            try await body(Place { AnyStore(store) })
        case .segmentsOnLinux, .fileOnLinux:
            try await withTemporaryDirectory { directory in
                try await body(place(directory, LinuxFileSystem(), segmentSize))
            }
        case .segmentsOnSimulation, .fileOnSimulation:
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/work")
            try await body(place("/work", machine, segmentSize))
        }
    }

    private func place(_ directory: String, _ fileSystem: any FileSystem, _ segmentSize: Int) -> Place {
        let isFile = self == .fileOnLinux || self == .fileOnSimulation
        return Place {
            isFile
                ? AnyStore(FileStore(path: directory + "/log", fileSystem: fileSystem, time: LinuxTimeSource()))
                : AnyStore(
                    SegmentedStore(
                        directory: directory + "/log", segmentSize: segmentSize, fileSystem: fileSystem,
                        time: LinuxTimeSource()))
        }
    }
}

/// A record that says which it is: `count` bytes that follow from `number`.
func sampleRecord(_ number: Int, count: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(number) &* 7919 &+ UInt64(count))
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)
    for index in stride(from: 0, to: count, by: 97) { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
    return bytes
}
