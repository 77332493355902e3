import Testing
import TestSupport
import WAL

/// The implementations of the file system seam, each with a fresh directory to work in.
enum FileSystemKind: CaseIterable, CustomTestStringConvertible {
    case linux, simulated

    var testDescription: String { "\(self)" }

    /// Calls `body` with a file system and the path of an empty directory on it.
    func run(_ body: (any FileSystem, String) throws -> Void) throws {
        switch self {
        case .linux:
            try withTemporaryDirectory { try body(LinuxFileSystem(), $0) }
        case .simulated:
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/work")
            try body(machine, "/work")
            // Whatever the body opened and mapped is gone with it.
            #expect(machine.counters.openFiles == 0)
            #expect(machine.counters.mappings == 0)
        }
    }
}

/// Expects `body` to throw `WALError.io` of that call and errno.
func expectIO(
    _ operation: String, _ errno: Int32, _ path: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Void
) {
    #expect(throws: WALError.io(operation: operation, path: path, errno: errno), sourceLocation: sourceLocation) {
        try body()
    }
}
