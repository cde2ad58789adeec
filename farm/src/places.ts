/** Where slides are read and archives are written: files, or objects of a store. */
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { type Archive, ClericError, openArchive } from 'cleric'
import {
  type ArchivePlace,
  factsOf,
  filePlace,
  isArchive,
  makeFolder,
  openArchiveOf,
  openByRanges,
  type PayloadCodec,
  Sha256,
  type SlideSource,
  type SlideVersion,
  sha256Of,
  slideFiles,
  slideVersionOf,
} from 'cleric/internal'
import { asClericError, isFailure, isObject, objectAt, s3Client } from './objects/client.js'
import type { Scratch } from './objects/local-copy.js'
import { ObjectBytes, objectFacts } from './objects/object-bytes.js'
import { type ObjectStoreOptions, objectTarget, removeBeside } from './objects/object-store.js'

/** A slide that is open for compression. */
export interface OpenedSource extends AsyncDisposable {
  /** A path where a file is. */
  readonly slide: SlideSource | string
}

export interface Opening {
  readonly codec: PayloadCodec
  readonly signal: AbortSignal
}

/** One for all places; the store is only asked if there is an object among them. */
export class Places {
  readonly #scratch: Scratch
  readonly #store: ObjectStoreOptions
  #client: S3Client | null = null

  constructor(scratch: Scratch, store: ObjectStoreOptions = {}) {
    this.#scratch = scratch
    this.#store = store
  }

  get client(): S3Client {
    this.#client ??= s3Client()
    return this.#client
  }

  /** @param settings see `settingsOf` */
  async sourceVersion(source: string, settings: string): Promise<SlideVersion> {
    if (!isObject(source)) return slideVersionOf(source, settings)
    const facts = await objectFacts(this.client, objectAt(source))
    const { size = 0, modified = 0, tag = '' } = facts ?? {}
    return { sourceBytes: size, sourceModified: modified, sourceTag: tag, settings }
  }

  /**
   * Opens a slide. Of an object, archives, TIFFs and slides of Aperio are read by ranges; others are copied into the
   * scratch folder, as their readers need a file.
   */
  async openSource(source: string, { codec, signal }: Opening): Promise<OpenedSource> {
    if (!isObject(source)) return { slide: source, [Symbol.asyncDispose]: async () => {} }
    const address = objectAt(source)
    const bytes = await ObjectBytes.open(this.client, address)
    try {
      const slide = isArchive(await bytes.read(0, Math.min(bytes.size, START_BYTES), signal))
        ? await openArchiveOf(async () => bytes, { codec, signal })
        : await openByRanges(bytes, {}, signal)
      if (slide) return { slide, [Symbol.asyncDispose]: async () => slide.close() }
      const { modified = 0 } = (await objectFacts(this.client, address)) ?? {}
      const { path, [Symbol.asyncDispose]: dispose } = await this.#scratch.copy(bytes, modified, signal)
      bytes.close()
      return { slide: path, [Symbol.asyncDispose]: dispose }
    } catch (error) {
      bytes.close()
      throw error
    }
  }

  archive(archive: string): ArchivePlace {
    if (!isObject(archive)) return filePlace(archive)
    const address = objectAt(archive)
    const { client } = this
    return {
      output: objectTarget(client, address, this.#store),
      version: async () => (await objectFacts(client, address))?.tag ?? null,
      prepare: async () => {},
      tidy: () => removeBeside(client, address),
      facts: async () => {
        using opened = await openArchiveOf(() => ObjectBytes.open(client, address), {})
        return factsOf(opened, await this.sha256(archive))
      },
    }
  }

  openArchive(archive: string, { codec, signal }: Opening): Promise<Archive> {
    if (!isObject(archive)) return openArchive(archive, { codec, signal })
    return openArchiveOf(() => ObjectBytes.open(this.client, objectAt(archive)), { codec, signal })
  }

  /** SHA-256 of a file or object, in hex digits. */
  async sha256(path: string): Promise<string> {
    if (!isObject(path)) return sha256Of(path)
    const hash = new Sha256()
    for await (const piece of (await ObjectBytes.open(this.client, objectAt(path))).pieces()) hash.update(piece)
    return hash.hex()
  }

  /**
   * Notes beside an archive that its slide is removed: a line in the worker's file, or an object, as objects can't be
   * added to.
   *
   * @param name of the file, or of a folder of such objects
   * @param id of the deletion
   */
  async noteBeside(archive: string, name: string, id: string, entry: object): Promise<void> {
    const line = `${JSON.stringify(entry)}\n`
    if (!isObject(archive)) return appendTo(join(dirname(archive), `${name}.jsonl`), line)
    const { bucket, key } = objectAt(archive)
    const Key = `${key.replace(/[^/]*$/, '')}${name}/${id}.json`
    await this.#ask(archive, new PutObjectCommand({ Bucket: bucket, Key, Body: line, ContentType: 'application/json' }))
  }

  /** Removes all files of a slide, or its object, unless that has changed. */
  async removeSource(source: string, version: SlideVersion): Promise<void> {
    if (!isObject(source)) {
      for (const file of slideFiles(source)) await rm(file, { force: true })
      return
    }
    const { bucket: Bucket, key: Key } = objectAt(source)
    await this.#ask(source, new DeleteObjectCommand({ Bucket, Key, IfMatch: version.sourceTag }))
  }

  close(): void {
    this.#client?.destroy()
  }

  async #ask(address: string, command: PutObjectCommand | DeleteObjectCommand): Promise<void> {
    try {
      if (command instanceof PutObjectCommand) await this.client.send(command)
      else await this.client.send(command)
    } catch (error) {
      // Only a removal is asked for on a condition.
      if (isFailure(error, 'PreconditionFailed', 412)) {
        throw new ClericError('ERR_FILE_CHANGED', `${address} has changed since it was compressed`, { cause: error })
      }
      throw asClericError(error, address)
    }
  }
}

/** What shows whether something is an archive. */
const START_BYTES = 4096

async function appendTo(path: string, line: string): Promise<void> {
  await makeFolder(dirname(path))
  const file = await open(path, 'a')
  try {
    await file.appendFile(line)
    await file.sync()
  } finally {
    await file.close()
  }
}
