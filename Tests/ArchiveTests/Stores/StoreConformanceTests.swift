import Archive
import TestSupport
import Testing

@Suite struct StoreConformanceTests {
    @Test(arguments: StoreCheck.all)
    func memoryKeepsTheContract(check: StoreCheck) async throws {
        try await check.run(on: MemoryObjectStore(), as: .memory)
    }

    @Test(arguments: StoreCheck.all)
    func memoryWithoutMannersKeepsTheRestOfTheContract(check: StoreCheck) async throws {
        try await check.run(on: MemoryObjectStore(capabilities: []), expecting: [])
    }

    @Test(arguments: StoreCheck.all)
    func directoryKeepsTheContract(check: StoreCheck) async throws {
        try await withTemporaryDirectory { directory in
            try await check.run(on: DirectoryStore(root: "\(directory)/new/root"), as: .directory)
        }
    }
}
