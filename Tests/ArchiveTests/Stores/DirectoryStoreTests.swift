@testable import Archive
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite struct DirectoryStoreTests {
    let key = ObjectKey("log/segments/epoch/object")

    @Test func everythingIsSyncedBeforeTheAnswer() async throws {
        try await withTemporaryDirectory { directory in
            let trace = Trace()
            let store = try DirectoryStore(root: directory, deadline: 60) { trace.add($0) }
            _ = try await store.create(key, [1])
            let chain = ["sync directory /", "sync directory /log", "sync directory /log/segments", "sync directory /log/segments/epoch"]
            #expect(trace.take() == ["sync file"] + chain)
            // Parents once, the entry each time.
            _ = try await store.create(ObjectKey("log/segments/epoch/second"), [1])
            #expect(trace.take() == ["sync file", chain[3]])
            try await store.replace(key, [2])
            #expect(trace.take() == ["sync file", chain[3]])
            _ = try await store.create(key, [3])
            #expect(trace.take() == [chain[3]])
            _ = try await store.makeCollection(ObjectKey("log/epochs/1"))
            #expect(trace.take() == ["sync directory /log", "sync directory /log/epochs"])
            try await store.delete(key)
            #expect(trace.take() == [chain[3]])
        }
    }

    @Test func whatAKilledProcessLeftIsSyncedBeforeItIsReported() async throws {
        try await withTemporaryDirectory { directory in
            try FileManager.default.createDirectory(atPath: "\(directory)/log/segments/epoch", withIntermediateDirectories: true)
            try Data([1, 2]).write(to: URL(filePath: "\(directory)/\(key)"))
            let chain = ["sync directory /", "sync directory /log", "sync directory /log/segments", "sync directory /log/segments/epoch"]
            for call in 0..<2 {
                let trace = Trace()
                let store = try DirectoryStore(root: directory, deadline: 60) { trace.add($0) }
                if call == 0 {
                    #expect(try await store.head(key) == ObjectInfo(size: 2))
                } else {
                    #expect(try await store.create(key, [9]) == .exists)
                }
                #expect(trace.take() == chain)
            }
        }
    }

    @Test func directoryRemovedUnderneathIsMadeAndSyncedAgain() async throws {
        try await withTemporaryDirectory { directory in
            let trace = Trace()
            let store = try DirectoryStore(root: directory, deadline: 60) { trace.add($0) }
            _ = try await store.create(key, [1])
            try FileManager.default.removeItem(atPath: "\(directory)/log/segments")
            _ = trace.take()
            #expect(try await store.create(key, [1]) == .created)
            #expect(trace.take().suffix(3) == ["sync directory /log", "sync directory /log/segments", "sync directory /log/segments/epoch"])
        }
    }

    @Test func objectsArePlainFilesAndNothingIsLeftWaiting() async throws {
        try await withTemporaryDirectory { directory in
            let store = try DirectoryStore(root: directory)
            _ = try await store.probe(prefix: ObjectKey("log/.probe"))
            _ = try await store.create(key, [1, 2, 3])
            _ = try await store.create(key, [4])
            try await store.replace(key, [5, 6])
            #expect(Array(try Data(contentsOf: URL(filePath: "\(directory)/\(key)"))) == [5, 6])
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory)/.incoming") == [])
            #expect(try await store.list(ObjectKey("log")) == [key])
        }
    }

    @Test func uploadsOfKilledProcessesAreRemovedWhenTheyAreOld() async throws {
        try await withTemporaryDirectory { directory in
            let incoming = "\(directory)/.incoming"
            try FileManager.default.createDirectory(atPath: incoming, withIntermediateDirectories: true)
            for name in ["old", "new"] { try Data([1]).write(to: URL(filePath: "\(incoming)/\(name)")) }
            try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -90_000)], ofItemAtPath: "\(incoming)/old")
            _ = try await DirectoryStore(root: directory).probe(prefix: ObjectKey("log/.probe"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: incoming) == ["new"])
        }
    }

    @Test func linksAreNeverFollowedAndStrangersNeverTouched() async throws {
        try await withTemporaryDirectory { directory in
            let outside = "\(directory)/outside"
            let root = "\(directory)/root"
            for path in [outside, root] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
            try Data([7]).write(to: URL(filePath: "\(outside)/secret"))
            try FileManager.default.createSymbolicLink(atPath: "\(root)/log", withDestinationPath: outside)
            try FileManager.default.createSymbolicLink(atPath: "\(root)/file", withDestinationPath: "\(outside)/secret")
            try FileManager.default.createDirectory(atPath: "\(root)/directory", withIntermediateDirectories: true)
            #expect(mkfifo("\(root)/pipe", 0o600) == 0)

            let store = try DirectoryStore(root: root)
            for key in [ObjectKey("log/secret"), ObjectKey("log/new"), ObjectKey("file")] {
                await expectInvalid { () async throws(ArchiveError) in _ = try await store.create(key, [1]) }
                await #expect(throws: ArchiveError.self) { try await store.get(key, range: nil, limit: 100) }
                #expect(try await store.head(key) == nil)
            }
            for key in [ObjectKey("directory"), ObjectKey("pipe")] {
                await expectInvalid { () async throws(ArchiveError) in _ = try await store.create(key, [1]) }
                await #expect(throws: ArchiveError.self) { try await store.get(key, range: nil, limit: 100) }
                #expect(try await store.head(key) == nil)
            }
            await expectInvalid { () async throws(ArchiveError) in _ = try await store.create(ObjectKey(".incoming/x"), [1]) }
            await expectInvalid { () async throws(ArchiveError) in _ = try await store.makeCollection(ObjectKey("pipe")) }
            await expectInvalid { () async throws(ArchiveError) in try await store.replace(ObjectKey("directory"), [1]) }
            #expect(Array(try Data(contentsOf: URL(filePath: "\(outside)/secret"))) == [7])
            #expect(try FileManager.default.contentsOfDirectory(atPath: outside) == ["secret"])
        }
    }

    @Test func onlyAbsolutePathsAreRoots() {
        for path in ["", "relative", "./a", "a\0b"] {
            #expect(throws: ArchiveError.self) { try DirectoryStore(root: path) }
        }
    }

    @Test func readingAnArchiveThatIsNotThereMakesNothing() async throws {
        try await withTemporaryDirectory { directory in
            let store = try DirectoryStore(root: "\(directory)/absent")
            #expect(try await store.head(key) == nil)
            #expect(try await store.list(ObjectKey("log")) == [])
            try await store.delete(key)
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/absent"))
        }
    }

    @Test func errorsOfTheFileSystemSayWhatToDo() {
        let cases: [(Int32, ArchiveError.Code)] = [
            (ENOSPC, .outOfSpace), (EDQUOT, .outOfSpace), (EACCES, .unauthorized(status: 0)), (EPERM, .unauthorized(status: 0)),
            (EROFS, .refused(status: 0)), (EFBIG, .tooLarge), (ENOENT, .notFound), (ELOOP, .invalid), (ENOTDIR, .invalid),
            (EXDEV, .unsupported), (EIO, .unreachable), (ESTALE, .unreachable), (EMFILE, .unreachable), (EINVAL, .refused(status: 0)),
        ]
        for (errno, code) in cases {
            let error = DirectoryFiles.Failure(operation: "write", errno: errno).archiveError(key: key, path: "/a")
            #expect(error.code == code && error.key == key && error.message.contains("write failed below /a"), "errno \(errno)")
        }
    }

    private func expectInvalid(_ body: () async throws(ArchiveError) -> Void) async {
        do throws(ArchiveError) {
            try await body()
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.code == .invalid, "\(error)")
        }
    }
}

/// What became durable, in order.
private final class Trace: Sendable {
    private let events = Mutex<[String]>([])
    func add(_ event: String) { events.withLock { $0.append(event) } }
    func take() -> [String] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}
