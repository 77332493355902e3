import Testing

@testable import walshipd

@Suite struct ProgressBarTests {
    @Test func theLineSaysShareAmountRateAndTimeLeft() {
        #expect(
            ProgressBar.line("restoring", done: 512 << 20, total: 1 << 30, rate: 256 * 1_048_576)
                == "restoring [############............] 50 % of 1.1 GB, 268 MB/s, 0:02 left")
        #expect(ProgressBar.line("restoring", done: 0, total: 10, rate: nil) == "restoring [........................] 0 % of 10 B")
        #expect(ProgressBar.line("restoring", done: 10, total: 10, rate: 0).hasSuffix("] 100 % of 10 B"))
        #expect(
            ProgressBar.line("verifying", done: 500, total: 2000, rate: 100, counting: "objects")
                == "verifying [######..................] 25 % of 2000 objects, 100/s, 0:15 left")
    }

    @Test func everyLineFitsOnANarrowTerminalAndNoNumberOverflows() {
        for total in [1, 999, 1000, 1 << 30, 1 << 56, 1 << 62] as [UInt64] {
            for done in [0, total / 3, total, total + 5] {
                for rate in [nil, 0, 0.5, 1, 999.6, 1e9, 1e18, .infinity] as [Double?] {
                    for columns in [80, 200, 60, 45, 30, 10, 1] {
                        let line = ProgressBar.line("restoring", done: done, total: total, rate: rate, columns: columns)
                        #expect(line.count <= min(79, columns - 1), "\(line)")
                        #expect(columns < 20 || line.contains(" % of ") && !line.contains("-"), "\(line)")
                        #expect(done < total || columns < 20 || line.contains(" 100 % "), "\(line)")
                    }
                }
            }
        }
    }

    @Test func sizesAndTimesReadAsPeopleWriteThem() {
        #expect([0, 999, 1000, 99_949, 99_951, 999_499, 999_500, 16 << 20].map { ProgressBar.size($0) }
            == ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "16.8 MB"])
        #expect([0, 0.2, 59.5, 60, 3599, 3600, 1e12].map { ProgressBar.time($0) }
            == ["0:00", "0:01", "1:00", "1:00", "59:59", "1:00:00", "99:59:59"])
    }

    @Test func theRateIsThatOfTheLastSecondsAndWhatWasThereBeforeDoesNotCount() {
        var pace = ProgressBar.Pace()
        var shown = [pace.note(done: 1000, seconds: 0)]
        #expect(pace.perSecond == nil)
        shown.append(pace.note(done: 1010, seconds: 0.1))
        shown.append(pace.note(done: 1100, seconds: 1))
        #expect(shown == [true, false, true])
        #expect(pace.perSecond == 100)
        // After a minute of nothing, the good times before are forgotten.
        for second in 2...60 { _ = pace.note(done: 1100, seconds: Double(second)) }
        #expect(pace.perSecond == 0)
    }
}
