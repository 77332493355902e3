import Foundation
import TestSupport
import Testing
@testable import WAL

/// A log that much goes through: what its process takes does not grow with that.
@Suite(.serialized) struct LongRunTests {
    /// `make long` has 10 GiB go through.
    static let megabytes = ProcessInfo.processInfo.environment["WALSHIP_LONG_MEGABYTES"].flatMap { Int($0) } ?? 320

    @Test func memoryDescriptorsMappingsAndThreadsAreBoundedHoweverMuchGoesThrough() async throws {
        try await withTemporaryDirectory { directory async throws in
            // What is freed goes back to the kernel, however large blocks were before (mallopt(3)): else what is looked at is the allocator.
            let driver = try Driver(in: directory, setup: "export MALLOC_MMAP_THRESHOLD_=131072")
            _ = try await driver.expect("open \(directory)/log \(LogLimits.segmentSizeDefault)")
            let appenders = 4
            let answer = try await driver.expect("run \(Self.megabytes) \(appenders)", within: .seconds(120 + Self.megabytes / 4))
            try #require(answer.count == 8)
            let (bytes, anonymous, mapped, descriptors, mappings, threads, disk) = (answer[0], answer[2], answer[3], answer[4], answer[5], answer[6], answer[7])
            print("long run: \(bytes >> 20) MiB, \(answer[1]) records; at most \(anonymous) KiB anonymous, \(mapped) KiB mapped, \(descriptors) descriptors, \(mappings) mappings, \(threads) threads, \(disk >> 10) MiB on disk")
            #expect(bytes >= UInt64(Self.megabytes) << 20)
            // A few copies of the longest record, which is longer than a segment, are most of it.
            #expect(anonymous < 128 << 10, "KiB")
            // What the log may map at most, and the program itself.
            let segments = UInt64(LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax)
            #expect(mapped < segments * UInt64(LogLimits.segmentSizeDefault >> 10) + 64 << 10, "KiB")
            #expect(mappings <= segments)
            #expect(descriptors <= 64)
            // Appenders, the main one, keeper, preparer, retirer, and what Foundation has.
            #expect(threads <= UInt64(appenders) + 12)
            #expect(disk < 1 << 20, "KiB")
            _ = try await driver.expect("close")
            try await driver.finish()
        }
    }
}
