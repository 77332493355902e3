import Foundation
import Logging
import Synchronization
import Testing

@testable import walshipd

@Suite struct LogLineTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private func logger(_ lines: Lines, level: Logger.Level = .info) -> Logger {
        Logger(label: "test") { _ in
            StderrLogHandler(
                level: level, write: { line in lines.all.withLock { $0.append(line) } },
                now: { Date(timeIntervalSince1970: 1.5) })
        }
    }

    @Test func anEventIsOneLineWithItsKeysInOrder() {
        let lines = Lines()
        var logger = logger(lines)
        logger[metadataKey: "log"] = "orders"
        logger.warning("behind", metadata: ["lag": "12", "archive": "http://h/a"])
        logger.debug("not shown")
        #expect(lines.all.withLock { $0 } == ["1970-01-01T00:00:01.500Z warning behind archive=http://h/a lag=12 log=orders"])
    }

    @Test func nothingBreaksTheLine() {
        let lines = Lines()
        logger(lines).error("two\nlines\u{1B}[31m", metadata: ["a": "x\r\ny \"z\" \\", "b": "", "c": "k=v"])
        let line = lines.all.withLock { $0[0] }
        #expect(line == #"1970-01-01T00:00:01.500Z error two\nlines\u{1b}[31m a="x\r\ny \"z\" \\" b="" c="k=v""#)
    }
}
