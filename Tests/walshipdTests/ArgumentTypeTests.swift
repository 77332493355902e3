import Testing
import WAL

@testable import walshipd

@Suite struct ArgumentTypeTests {
    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("4096", 4096), ("64KiB", 65_536), ("16MiB", 16_777_216), ("1GiB", 1_073_741_824),
            ("2TiB", 2_199_023_255_552), ("4611686018427387903", (1 << 62) - 1),
        ] as [(String, UInt64)])
    func byteSizesAreRead(_ text: String, _ bytes: UInt64) throws {
        #expect(try ByteSize.parse(text).bytes == bytes)
    }

    @Test(arguments: [
        "", " 1", "1 ", "-1", "+1", "1.5MiB", "16MB", "16mib", "16M", "MiB", "0x10", "1e3", "１", "4611686018427387904",
        "4194304TiB", "99999999999999999999", "18446744073709551615KiB",
    ])
    func otherByteSizesAreRefused(_ text: String) {
        #expect(throws: ArgumentTextError.self) { try ByteSize.parse(text) }
    }

    @Test func byteSizesPrintAsTheyAreRead() throws {
        for bytes: UInt64 in [0, 1, 1000, 1024, 1536, 1 << 20, 3 << 30, 1 << 61] {
            #expect(try ByteSize.parse(ByteSize(bytes).description) == ByteSize(bytes))
        }
        #expect(ByteSize(16 << 20).description == "16MiB")
    }

    @Test(
        arguments: [
            ("0s", .zero), ("10ms", .milliseconds(10)), ("1s", .seconds(1)), ("5m", .seconds(300)), ("2h", .seconds(7_200)),
            ("7d", .seconds(604_800)),
        ] as [(String, Duration)])
    func durationsAreRead(_ text: String, _ duration: Duration) throws {
        #expect(try DurationText.parse(text) == duration)
        #expect(try DurationText.parse(DurationText.format(duration)) == duration)
    }

    @Test(arguments: [
        "", "0", "10", "1.5s", "-1s", "1 s", "s", "1sec", "1S", "1us", "36501d", "9223372036854775807d",
        "99999999999999999999s",
    ])
    func otherDurationsAreRefused(_ text: String) {
        #expect(throws: ArgumentTextError.self) { try DurationText.parse(text) }
    }

    @Test func lsnsAreDecimalDigits() throws {
        #expect(try LSNText.parse("0") == .zero)
        #expect(try LSNText.parse("4611686018427387903") == LSN((1 << 62) - 1))
        for text in ["", "-1", "+1", "0x1", "1 ", "1.0", "4611686018427387904", "99999999999999999999"] {
            #expect(throws: ArgumentTextError.self, "\(text)") { try LSNText.parse(text) }
        }
    }

    @Test func timesHaveAnOffsetAndAreOnDaysThatExist() throws {
        #expect(try InstantText.parse("1970-01-01T00:00:01Z") == 1_000_000_000)
        #expect(try InstantText.parse("2026-11-23T15:05:07.25+01:00") == 1_795_442_707_250_000_000)
        #expect(try InstantText.format(InstantText.parse("2026-11-23T15:05:07.25+01:00")) == "2026-11-23T14:05:07Z")
        for text in [
            "", "now", "0", "2026-11-23", "2026-11-23T14:05:07", "2026-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2026-04-31T12:00:00+02:00", "2026-11-23T24:00:00Z",
            "2026-11-23T14:60:00Z", "2026-11-23T14:05:07+99:00", "1969-12-31T23:59:59Z", "2555-01-01T00:00:00Z", "2026-11-23T14:05:07Z ",
        ] {
            #expect(throws: ArgumentTextError.self, "\(text)") { try InstantText.parse(text) }
        }
    }

    @Test func listenAddressesKnowWhetherOthersReachThem() throws {
        for text in ["127.0.0.1:9180", "127.8.8.8:0", "localhost:1", "[::1]:65535"] {
            let address = try ListenAddress.parse(text)
            #expect(address.isLoopback, "\(text)")
            #expect(address.description == text)
        }
        for text in ["0.0.0.0:80", "192.168.0.1:80", "[::]:80", "example.org:80", "127.0.0.1.example.org:80", "127.1:80"] {
            #expect(try !ListenAddress.parse(text).isLoopback, "\(text)")
        }
        for text in [
            "", "9180", ":9180", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[]:80", "[::1:80",
            "http://a:80",
        ] {
            #expect(throws: ArgumentTextError.self, "\(text)") { try ListenAddress.parse(text) }
        }
    }
}
