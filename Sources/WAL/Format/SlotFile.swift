/// A slot's file `slots/<name>`: two halves of 4096 bytes, written in turns, generation g to half g mod 2.
package struct SlotFile: Hashable, Sendable {
    package static let size = 2 * SlotState.size

    /// Where in the file the state of a generation goes.
    package static func offset(ofGeneration generation: UInt64) -> Int { Int(generation % 2) * SlotState.size }

    /// What truncation has to respect.
    package enum Hold: Hashable, Sendable {
        /// Bytes from here on.
        case from(LSN)
        /// All that is there, because what the slot says cannot be told.
        case everything(FormatError)
    }

    /// Two.
    package let halves: [Result<SlotState, FormatError>]

    /// Reads a slot of the log `logID`. Any bytes will do: what is wrong with a half is that half's error.
    package static func decode(_ bytes: [UInt8], expecting logID: LogID) -> SlotFile {
        SlotFile(
            halves: (0..<2).map { half in
                Result { () throws(FormatError) in
                    let part = Array(bytes.dropFirst(half * SlotState.size).prefix(SlotState.size))
                    let state = try SlotState.decode(part, expecting: logID)
                    guard offset(ofGeneration: state.generation) == half * SlotState.size else {
                        throw ByteReader("slot", part).invalid(
                            "generation", at: 16, found: state.generation,
                            expected: half == 0 ? "an even number" : "an odd number")
                    }
                    return state
                }
            })
    }

    /// The state with the greatest generation; nil where no half is intact, or where one is of a version or kind that this
    /// program does not know.
    package var current: SlotState? {
        guard unsupported == nil else { return nil }
        return intact.max { $0.generation < $1.generation }
    }

    /// The lower of what the intact halves hold.
    package var hold: Hold {
        if let unsupported { return .everything(unsupported) }
        if let lower = intact.map(\.hold).min() { return .from(lower) }
        let errors = errors
        return .everything(errors.first { $0.kind != .empty } ?? errors[0])
    }

    private var intact: [SlotState] { halves.compactMap { try? $0.get() } }

    private var errors: [FormatError] {
        halves.compactMap { half in
            if case .failure(let error) = half { error } else { nil }
        }
    }

    private var unsupported: FormatError? { errors.first { $0.kind == .unsupported } }
}
