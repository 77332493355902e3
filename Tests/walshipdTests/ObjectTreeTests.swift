import Foundation
import HTTPTypes
import Logging
import NIOCore
import Testing
import WAL

@testable import walshipd

/// What is on stable storage when the tree answers, and what it does when storage fails.
@Suite struct ObjectTreeTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func withTree(_ body: (ObjectTree, RecordingFileSystem, String) throws -> Void) async throws {
        try await withScratch { scratch in
            let root = scratch + "/root"
            let system = RecordingFileSystem()
            let tree = try ObjectTree(root: root, system: system, logger: quiet)
            _ = system.calls(below: root)
            try body(tree, system, root)
        }
    }

    private func put(_ tree: ObjectTree, _ path: String, _ text: String = "x", if precondition: Precondition = .any) throws
        -> Bool
    {
        let upload = try tree.beginUpload(verifying: false)
        do {
            try upload.append(ByteBuffer(string: text))
            _ = try upload.finish()
            return try tree.publish(upload, at: ObjectPath(requestPath: path), if: precondition)
        } catch {
            tree.discard(upload)
            throw error
        }
    }

    @Test func anObjectIsFlushedBeforeItIsNamedAndItsNamesBeforeTheAnswer() async throws {
        try await withTree { tree, system, root in
            let uploads = "/\(ObjectPath.reserved)"
            #expect(try !put(tree, "/a/b/o"))
            #expect(
                system.calls(below: root) == [
                    "write \(uploads)/1", "fdatasync \(uploads)/1",
                    "fsync ", "mkdir /a", "fsync ", "mkdir /a/b", "fsync /a",
                    "rename /a/b/o", "fsync /a/b",
                ])
            #expect(try put(tree, "/a/b/o"))
            #expect(
                system.calls(below: root) == [
                    "write \(uploads)/2", "fdatasync \(uploads)/2", "rename /a/b/o", "fsync /a/b",
                ])
            try tree.makeCollection(ObjectPath(requestPath: "/a/c"))
            #expect(system.calls(below: root) == ["mkdir /a/c", "fsync /a"])
            try tree.delete(ObjectPath(requestPath: "/a/b/o"))
            #expect(system.calls(below: root) == ["unlink /a/b/o", "fsync /a/b"])
            try tree.delete(ObjectPath(requestPath: "/a/b"))
            #expect(system.calls(below: root) == ["rmdir /a/b", "fsync /a"])
        }
    }

    /// A server that was killed between a rename and the flush left an entry that power loss can take back. The next one must
    /// not confirm it before it is flushed.
    @Test func whatAFormerServerLeftIsFlushedBeforeItIsShown() async throws {
        try await withScratch { scratch in
            let root = scratch + "/root"
            try FileManager.default.createDirectory(atPath: root + "/a/b", withIntermediateDirectories: true)
            try Data([1]).write(to: URL(filePath: root + "/a/b/o"))
            let object = try ObjectPath(requestPath: "/a/b/o")
            let looks: [(ObjectTree) throws -> Bool] = [
                { try $0.look(object) == .object(size: 1) },
                { try $0.open(object).size == 1 },
                { tree in
                    do {
                        try tree.foresee(putAt: object, if: .absent)
                        return false
                    } catch {
                        return (error as? ServeError)?.status == .preconditionFailed
                    }
                },
            ]
            for look in looks {
                let system = RecordingFileSystem()
                let tree = try ObjectTree(root: root, system: system, logger: quiet)
                _ = system.calls(below: root)
                #expect(try look(tree))
                #expect(system.calls(below: root) == ["fsync ", "fsync /a", "fsync ", "fsync /a/b", "fsync /a"])
                #expect(try look(tree))
                #expect(system.calls(below: root) == [], "once is enough")
            }
        }
    }

    @Test func aFailedFlushOfADirectoryStopsTheTree() async throws {
        try await withTree { tree, system, root in
            _ = try put(tree, "/a/old")
            system.fail("fsync \(root)/a")
            #expect(throws: ServeError.stopped) { try put(tree, "/a/new") }
            system.fail(nil)
            #expect(throws: ServeError.stopped) { try tree.look(ObjectPath(requestPath: "/a/new")) }
            #expect(throws: ServeError.stopped) { try tree.open(ObjectPath(requestPath: "/a/old")) }
            #expect(throws: ServeError.stopped) { try tree.list(ObjectPath(requestPath: "/a/")) }
            #expect(throws: ServeError.stopped) { try put(tree, "/a/new") }
        }
    }

    @Test func aFailedFlushOfABodyRefusesThatObjectOnly() async throws {
        try await withTree { tree, system, root in
            _ = try put(tree, "/o", "old")
            system.fail("fdatasync \(root)/\(ObjectPath.reserved)/2")
            #expect(throws: WALError.self) { try put(tree, "/o", "new bytes") }
            #expect(try tree.look(ObjectPath(requestPath: "/o")) == .object(size: 3))
            #expect(try put(tree, "/o", "newer"))
            #expect(try tree.look(ObjectPath(requestPath: "/o")) == .object(size: 5))
        }
    }

    @Test func flushedDirectoriesAreForgottenNotPiledUp() {
        var flushed = FlushedDirectories()
        for number in 0...FlushedDirectories.countMax { flushed.insert("\(number)") }
        #expect(flushed.contains("\(FlushedDirectories.countMax)"))
        #expect(!flushed.contains("0"))
    }
}
