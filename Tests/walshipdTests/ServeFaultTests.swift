import Foundation
import TestSupport
import Testing

@testable import walshipd

/// The archive server when something goes wrong: cut connections, kills, full and read-only disks, clients that stand still.
@Suite(.serialized) struct ServeFaultTests {
    private func uploads(_ root: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root + "/" + ObjectPath.reserved).filter { $0 != "lock" }
    }

    /// Starts a slow upload and waits until part of it has arrived.
    private func startSlowUpload(_ server: ServeProcess, _ path: String, root: String, scratch: String, chunked: Bool)
        async throws -> Program
    {
        let file = scratch + "/slow.in"
        try pattern(20_000_000).write(to: URL(filePath: file))
        let more = chunked ? ["-H", "Transfer-Encoding: chunked"] : []
        let curl = try server.startCurl(path, ["-T", file, "--limit-rate", "200K"] + more, files: "slow")
        let arrived = try await wait {
            try uploads(root).contains { name in
                let attributes = try? FileManager.default.attributesOfItem(atPath: "\(root)/\(ObjectPath.reserved)/\(name)")
                return (attributes?[.size] as? Int ?? 0) > 50_000
            }
        }
        #expect(arrived)
        return curl
    }

    @Test(arguments: [false, true]) func cutUploadsAreNeverVisible(chunked: Bool) async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let server = try await ServeProcess(root: root, in: scratch)
            try await server.put("/old", pattern(100))
            for path in ["/new", "/old"] {
                let curl = try await startSlowUpload(server, path, root: root, scratch: scratch, chunked: chunked)
                curl.signal(SIGKILL)
                #expect(try await wait { try uploads(root).isEmpty }, "the rest of the upload is removed")
            }
            #expect(try await server.curl("/new").status == 404)
            #expect(try await server.curl("/old").body == pattern(100))
            #expect(try await server.stop().code == 0)
        }
    }

    @Test func aKilledServerLeavesNoHalfObjects() async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let first = try await ServeProcess(root: root, in: scratch)
            try await first.put("/a/kept", pattern(1000))
            let curl = try await startSlowUpload(first, "/a/half", root: root, scratch: scratch, chunked: false)
            first.program.signal(SIGKILL)
            _ = try await first.program.ended()
            _ = try await curl.ended()
            #expect(try uploads(root).count == 1)

            let second = try await ServeProcess(root: root, in: scratch)
            #expect(try uploads(root).isEmpty)
            #expect(second.program.standardError.contains("removed unfinished uploads"))
            #expect(try await second.curl("/a/half").status == 404)
            #expect(try await second.curl("/a/kept").body == pattern(1000))
            #expect(try await second.put("/a/half", pattern(7)).status == 201)
            #expect(try await second.stop().code == 0)
        }
    }

    @Test func oneServerOwnsARoot() async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let server = try await ServeProcess(root: root, in: scratch)
            let rival = try await Program.run(
                Program.walshipd, ["serve", "--root", root, "--listen", "127.0.0.1:0"], in: scratch)
            #expect(rival.code == 1)
            #expect(rival.error.hasPrefix("walshipd serve: \(root) is in use by another walshipd serve; "))
            #expect(try await server.put("/x", pattern(5)).status == 201, "the first is not disturbed")
            #expect(try await server.stop().code == 0)
        }
    }

    @Test func requestsUnderWayFinishAtTheEnd() async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let server = try await ServeProcess(root: root, in: scratch, ["--shutdown-deadline", "50s"])
            let file = scratch + "/in"
            try pattern(600_000).write(to: URL(filePath: file))
            let curl = try server.startCurl("/x", ["-T", file, "--limit-rate", "300K"], files: "x")
            #expect(try await wait { try !uploads(root).isEmpty })
            server.program.signal(SIGTERM)
            #expect(try await server.reply(of: curl, files: "x").status == 201)
            #expect(try await server.program.ended().code == 0)
            #expect(FileManager.default.contents(atPath: root + "/x") == pattern(600_000))
        }
    }

    @Test(arguments: [false, true]) func aClientThatStandsStillDoesNotHoldUpTheEnd(chunked: Bool) async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let server = try await ServeProcess(root: root, in: scratch, ["--shutdown-deadline", "200ms"])
            let curl = try await startSlowUpload(server, "/x", root: root, scratch: scratch, chunked: chunked)
            curl.signal(SIGSTOP)
            defer { curl.signal(SIGKILL) }
            let ended = try await server.stop()
            #expect(ended.code == 0)
            #expect(ended.error.contains("requests were cut"))
            #expect(FileManager.default.contents(atPath: root + "/x") == nil)
        }
    }

    @Test(.enabled(if: Mounts.arePossible, "\(Mounts.reason)"))
    func aFullDiskIsNamedAndHeals() async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            let mount = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m none \(root) && exec \"$@\"", "sh"]
            let server = try await ServeProcess(root: root, in: scratch, wrapper: mount)
            #expect(try await server.put("/a", pattern(500_000)).status == 201)
            for _ in 0..<3 {
                let full = try await server.put("/b", pattern(900_000))
                #expect(full.status == 507)
                #expect(full.text.contains("no space left"))
                #expect(try await server.put("/a", pattern(900_000)).status == 507, "replacing")
            }
            #expect(try await server.curl("/b").status == 404)
            #expect(try await server.curl("/a").body == pattern(500_000), "what was there stays")
            #expect(try await server.put("/c", pattern(300_000)).status == 201, "the refused uploads gave their space back")
            #expect(try await server.stop().code == 0)
        }
    }

    /// Permissions do not hold root back, so root mounts it read-only.
    @Test(.enabled(if: geteuid() != 0 || Mounts.arePossible, "\(Mounts.reason)"))
    func aRootThatCannotBeWrittenIsRefusedAtTheStart() async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            var command = [Program.walshipd]
            if geteuid() == 0 {
                let script = "mount --bind \(root) \(root) && mount -o remount,ro,bind \(root) && exec \"$@\""
                command = ["unshare", "-m", "sh", "-c", script, "sh"] + command
            } else {
                try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: root)
            }
            command += ["serve", "--root", root, "--listen", "127.0.0.1:0"]
            let ended = try await Program.run(command[0], Array(command.dropFirst()), in: scratch)
            #expect(ended.code == 1)
            #expect(ended.error.hasPrefix("walshipd serve: cannot keep objects in \(root): mkdir failed on "))
            #expect(ended.error.contains("Read-only file system") || ended.error.contains("Permission denied"))
            #expect(ended.error.hasSuffix("; choose a directory that can be written with --root\n"))
            #expect(ended.output.isEmpty)
        }
    }

    @Test func startsThatCannotSucceedSayWhy() async throws {
        try await withScratch { scratch async throws in
            let file = scratch + "/file"
            try "keep".write(toFile: file, atomically: true, encoding: .utf8)
            func serve(_ arguments: String...) async throws -> Program.Ended {
                try await Program.run(Program.walshipd, ["serve"] + arguments, in: scratch)
            }
            let notADirectory = try await serve("--root", file, "--listen", "127.0.0.1:0")
            #expect(notADirectory.code == 1)
            #expect(notADirectory.error.contains("it is no directory"))
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "keep")

            let noParent = try await serve("--root", scratch + "/no/such", "--listen", "127.0.0.1:0")
            #expect(noParent.code == 1)
            #expect(noParent.error.contains("No such file or directory"))

            let server = try await ServeProcess(root: scratch + "/root", in: scratch)
            let taken = try await serve("--root", scratch + "/other", "--listen", String(server.url.dropFirst("http://".count)))
            #expect(taken.code == 1)
            #expect(taken.error.contains("cannot listen on 127.0.0.1:"))
            #expect(taken.error.contains("Address already in use"))
            #expect(try await server.stop().code == 0)

            let remote = try await serve("--root", scratch + "/root", "--listen", "0.0.0.0:0")
            #expect(remote.code == 2)
            #expect(remote.error.contains("--allow-remote"))
            for wrong in [
                ["--root", ""], ["--listen", "x"], ["--root", "r", "--object-size-max", "5MB"],
                ["--root", "r", "--shutdown-deadline", "soon"],
            ] {
                let ended = try await Program.run(Program.walshipd, ["serve"] + wrong, in: scratch)
                #expect(ended.code == 2, "\(wrong)")
                #expect(ended.error.hasPrefix("walshipd serve: "), "\(wrong)")
            }
        }
    }
}
