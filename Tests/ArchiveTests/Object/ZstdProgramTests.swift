import Archive
import Foundation
import TestSupport
import Testing
import WAL

/// Against the zstd program itself (Debian package `zstd`).
@Suite struct ZstdProgramTests {
    let key = ObjectKey("log/object")

    @Test func theZstdProgramPrintsExactlyTheRawBytes() throws {
        try withTemporaryDirectory { directory in
            let object = try SampleLog.encode(4096..<8192)
            let path = "\(directory)/object.zst"
            try Data(object.bytes).write(to: URL(filePath: path))
            let output = try zstd(["-d", "-c", path], in: directory)
            #expect(output == SampleLog.raw(4096..<8192))
            _ = try zstd(["-t", path], in: directory)
        }
    }

    @Test func framesThatAreNotAsTheFormatSaysAreRefused() throws {
        try withTemporaryDirectory { directory in
            let raw = SampleLog.raw(4096..<8192)
            let path = "\(directory)/raw"
            try Data(raw).write(to: URL(filePath: path))
            let object = try SampleLog.encode(4096..<8192)
            let prefix = Array(object.bytes.prefix(8 + 240 + 2 * 24 + 2 * 16))

            let plain = try zstd(["-c", path], in: directory)
            let decoded = try ObjectDecoder.decode(sealed(prefix, plain), key: key, start: LSN(4096))
            #expect(decoded.raw == raw, "a frame that the program made is as good as ours")

            let other = "\(directory)/other"
            try Data(raw.reversed()).write(to: URL(filePath: other))
            let short = "\(directory)/short"
            try Data(raw.dropLast()).write(to: URL(filePath: short))
            let unsound: [(String, [UInt8])] = [
                ("no content checksum", try zstd(["-c", "--no-check", path], in: directory)),
                ("content size", try zstd(["-c", "--no-content-size", path], in: directory)),
                ("the raw bytes have digest", try zstd(["-c", other], in: directory)),
                ("holds 4095 bytes", try zstd(["-c", short], in: directory)),
                ("follow the zstd frame", plain + plain),
                ("zstd: ", Array(plain.dropLast())),
                ("no zstd frame", Array(prefix.prefix(100))),
            ]
            for (said, frame) in unsound {
                let error = #expect(throws: ArchiveError.self, "\(said)") {
                    try ObjectDecoder.decode(sealed(prefix, frame), key: key, start: LSN(4096))
                }
                #expect(error?.code == .damaged && error?.message.contains(said) == true, "\(said): \(String(describing: error))")
            }
        }
    }

    /// An object of `prefix` and `frame` with sound size and checksums.
    private func sealed(_ prefix: [UInt8], _ frame: [UInt8]) -> [UInt8] {
        var bytes = prefix + frame
        bytes.put(UInt64(bytes.count), at: 8 + 112)
        bytes.reseal()
        return bytes
    }

    /// Runs zstd and returns what it printed.
    private func zstd(_ arguments: [String], in directory: String) throws -> [UInt8] {
        let output = "\(directory)/output"
        try Data().write(to: URL(filePath: output))
        let handle = try FileHandle(forWritingTo: URL(filePath: output))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["zstd", "-q"] + arguments
        process.standardOutput = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try handle.close()
        #expect(process.terminationStatus == 0, "zstd \(arguments)")
        return Array(try Data(contentsOf: URL(filePath: output)))
    }
}
