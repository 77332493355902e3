import Archive
import Testing

@testable import walshipd

@Suite struct LogPatternTests {
    @Test(arguments: [
        ("*", "a", true), ("*", "abc", true), ("*", ".a", false), (".*", ".a", true), ("a*", "a", true), ("a*", "ba", false),
        ("*b", "ab", true), ("*b", "abc", false), ("a*c", "abbc", true), ("a*c", "ac", true), ("a?c", "abc", true), ("a?c", "ac", false),
        ("*a*b", "xaxbxb", true), ("*a*b", "xaxbx", false), ("**", "x", true), ("?", "", false), ("wal-?", "wal-1", true),
        ("a*a*a*a*a*b", String(repeating: "a", count: 200), false),
    ])
    func aPartMatches(_ part: String, _ entry: String, _ expected: Bool) throws {
        #expect(try LogPattern(path: "/x/\(part)", name: nil).matches(entry) == expected)
    }

    @Test func theMatchingPartNamesTheLog() throws {
        let plain = try LogPattern(path: "/var/lib/*/wal", name: nil)
        #expect(plain.parent == "/var/lib")
        #expect(plain.path(for: "orders") == "/var/lib/orders/wal")
        #expect(plain.name(for: "orders") == LogName("orders"))
        #expect(plain.name(for: "lost+found") == nil)
        let named = try LogPattern(path: "/*", name: "host1-*")
        #expect(named.parent == "/")
        #expect(named.path(for: "a") == "/a")
        #expect(named.name(for: "a") == LogName("host1-a"))
        #expect(try LogPattern(path: "wal-*", name: nil).path(for: "wal-1") == "./wal-1")
    }

    @Test(arguments: [("/a/*/b/*", nil), ("/a/*", "x"), ("/a/*", "*-*"), ("/a/*", "?*")] as [(String, String?)])
    func patternsThatNameNoLogAreRefused(_ path: String, _ name: String?) {
        #expect(throws: ArgumentTextError.self) { try LogPattern(path: path, name: name) }
    }

    @Test func patternsAreReadFromTheFile() throws {
        func load(_ logs: String, _ flags: [SettingKey: String] = [:]) throws -> RunSettings {
            try RunSettings.load(
                file: ConfigurationFile.parse("logs:\n\(logs)\ndestinations: [{url: \"http://h\"}]", path: "w.yaml"), environment: [:], flags: flags
            ).settings
        }
        let settings = try load("  - {path: /x/a}\n  - path: /var/*/wal\n    name: h-*")
        #expect(settings.logs.map(\.path) == ["/x/a"])
        #expect(settings.patterns == [try LogPattern(path: "/var/*/wal", name: "h-*")])
        func refusal(_ logs: String, _ flags: [SettingKey: String] = [:]) -> String {
            do {
                _ = try load(logs, flags)
                return "accepted"
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal("  - path: /a/*/b/*").hasPrefix("w.yaml:2: logs[0].path: '/a/*/b/*': expected * and ? in one part"))
        #expect(refusal("  - path: /a/*\n    name: x").hasPrefix("w.yaml:3: logs[0].name: 'x': expected a name with one *"))
        #expect(refusal("  - path: /a/*\n  - path: /a/*").contains("is listed twice"))
        #expect(refusal("  - path: /a/*", [.archive: "http://h/a/b"]).contains("is the archive of one log"))
    }

    private func found(_ path: String, _ name: String, file: UInt64 = 1) -> LogFinder.Found {
        LogFinder.Found(log: LogSettings(path: path, name: LogName(name)!), identity: LogFinder.Identity(device: 1, file: file))
    }

    @Test func everyLogIsBegunOnceAndNoNameIsUsedTwice() {
        var known = KnownLogs(listed: [LogSettings(path: "/l/a", name: LogName("a")!)], limit: 3)
        let all = [found("/l/a", "a"), found("/m/a", "a"), found("/m/b", "b")]
        var decision = known.take(LogFinder.Result(found: all, refused: ["/m/x": "no log"]))
        #expect(decision.begin.map(\.log.path) == ["/m/b"])
        #expect(decision.refused.map(\.path) == ["/m/a", "/m/x"])
        decision = known.take(LogFinder.Result(found: all, refused: ["/m/x": "no log"]))
        #expect(decision.begin.isEmpty && decision.refused.isEmpty, "begun once, told once")
        // The limit.
        decision = known.take(LogFinder.Result(found: all + [found("/m/c", "c"), found("/m/d", "d")]))
        #expect(decision.begin.map(\.log.path) == ["/m/c"])
        #expect(decision.refused.map(\.path) == ["/m/d"])
        #expect(decision.refused.first?.reason.contains("3 logs are shipped already") == true)
        // What has failed is not begun again and again, and its name stays its own.
        known.ended(found("/m/b", "b"), found("/m/b", "b").identity)
        decision = known.take(LogFinder.Result(found: [found("/m/b", "b"), found("/n/b", "b")]))
        #expect(decision.begin.isEmpty)
        #expect(decision.refused.map(\.path) == ["/n/b"])
        // Another log at its path is.
        decision = known.take(LogFinder.Result(found: [found("/m/b", "b", file: 2)]))
        #expect(decision.begin.map(\.log.path) == ["/m/b"])
        // What is gone leaves room and its name.
        known.ended(found("/m/b", "b", file: 2), nil)
        decision = known.take(LogFinder.Result(found: [found("/n/b", "b")]))
        #expect(decision.begin.map(\.log.path) == ["/n/b"])
    }
}
