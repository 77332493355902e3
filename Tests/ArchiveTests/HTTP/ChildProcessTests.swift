import Foundation
import TestSupport
import Testing

@Suite struct ChildProcessTests {
    @Test func outputAndStatusAreKept() async throws {
        let directory = try ServerDirectory("child")
        let child = try ChildProcess(
            "sh", ["-c", "cat; echo $WORD >&2; pwd; exit 7"], in: directory.path, environment: ["WORD": "err"], input: .pipe,
            workingDirectory: "/usr")
        #expect(child.write(Array("hello\n".utf8)))
        child.closeInput()
        #expect(try await child.waitForExit() == .exited(7))
        #expect(child.standardOutput == "hello\n/usr\n")
        #expect(child.standardError == "err\n")
        child.kill()
        #expect(child.exit == .exited(7))
    }

    @Test func aKilledChildIsGoneAndSoAreItsWatchdogAndDirectory() async throws {
        let path: String
        let pid: Int32
        do {
            let directory = try ServerDirectory("child")
            path = directory.path
            let child = try ChildProcess("sleep", ["1000"], in: path)
            pid = child.pid
            #expect(child.isRunning)
            #expect(kill(pid, 0) == 0)
        }
        #expect(kill(pid, 0) == -1)
        #expect(!FileManager.default.fileExists(atPath: path))
        let stopped = try ServerDirectory("child")
        let polite = try ChildProcess("sleep", ["1000"], in: stopped.path)
        #expect(try await polite.terminate() == .signalled(SIGTERM))
    }

    @Test func aProgramThatIsNotThereIsAnError() throws {
        let directory = try ServerDirectory("child")
        #expect(throws: ServerError.self) { try ChildProcess("no-such-program", [], in: directory.path) }
    }
}
