/** A multipart upload: an object that comes in parts, and is there when the last is. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { ClericError } from 'cleric'
import { addressOf, asClericError, isFailure, type ObjectAddress } from './client.js'
import type { UploadedPart } from './object-journal.js'

export class Upload {
  readonly id: string
  readonly #client: S3Client
  readonly #address: ObjectAddress

  constructor(client: S3Client, address: ObjectAddress, id: string) {
    this.#client = client
    this.#address = address
    this.id = id
  }

  /** Begins one, in place of whatever was begun for that object and is no longer wanted. */
  static async begin(client: S3Client, address: ObjectAddress, contentType: string): Promise<Upload> {
    const { bucket: Bucket, key: Key } = address
    try {
      for (const id of await uploadsOf(client, address)) await new Upload(client, address, id).abort()
      const command = new CreateMultipartUploadCommand({ Bucket, Key, ContentType: contentType })
      const { UploadId = '' } = await client.send(command)
      return new Upload(client, address, UploadId)
    } catch (error) {
      throw asClericError(error, addressOf(address))
    }
  }

  /** @param number from 1 on. Sent again, the same part takes the place of the one before. */
  send(number: number, bytes: Uint8Array): Promise<UploadedPart> {
    return this.#try(async (place) => {
      const { ETag: tag = '' } = await this.#client.send(
        new UploadPartCommand({ ...place, PartNumber: number, Body: bytes }),
      )
      return { number, size: bytes.length, tag }
    })
  }

  /** The parts that are there, in order; null if there is no such upload any more. */
  async parts(): Promise<UploadedPart[] | null> {
    try {
      return await this.#try(async (place) => {
        const parts: UploadedPart[] = []
        // The SDK's own paginator goes by the marker alone, which S3 gives with the last page too.
        for (let next: { PartNumberMarker?: string | undefined } | null = {}; next; ) {
          const page: ListPartsCommandOutput = await this.#client.send(new ListPartsCommand({ ...place, ...next }))
          for (const { PartNumber = 0, Size = 0, ETag = '' } of page.Parts ?? []) {
            parts.push({ number: PartNumber, size: Size, tag: ETag })
          }
          next = page.IsTruncated ? { PartNumberMarker: page.NextPartNumberMarker } : null
        }
        return parts
      })
    } catch (error) {
      if (isFailure((error as Error).cause, 'NoSuchUpload')) return null
      throw error
    }
  }

  /**
   * Makes the object of these parts.
   *
   * @throws ClericError ERR_FILE_EXISTS if there is such an object already, unless it is to be overwritten
   */
  complete(parts: readonly UploadedPart[], overwrite: boolean): Promise<void> {
    return this.#try(async (place) => {
      const MultipartUpload = { Parts: parts.map(({ number, tag }) => ({ PartNumber: number, ETag: tag })) }
      const condition = overwrite ? {} : { IfNoneMatch: '*' }
      await this.#client.send(new CompleteMultipartUploadCommand({ ...place, ...condition, MultipartUpload }))
    })
  }

  /** Removes its parts. Harmless if there is no such upload any more. */
  async abort(): Promise<void> {
    try {
      await this.#try((place) => this.#client.send(new AbortMultipartUploadCommand(place)))
    } catch (error) {
      if (!isFailure((error as Error).cause, 'NoSuchUpload')) throw error
    }
  }

  async #try<T>(work: (place: { Bucket: string; Key: string; UploadId: string }) => Promise<T>): Promise<T> {
    const { bucket: Bucket, key: Key } = this.#address
    const name = addressOf(this.#address)
    try {
      return await work({ Bucket, Key, UploadId: this.id })
    } catch (cause) {
      if (isFailure(cause, 'NoSuchUpload')) {
        throw new ClericError('ERR_FILE_EXISTS', `${name} was taken over by another run that writes it too`, { cause })
      }
      if (isFailure(cause, 'PreconditionFailed', 'ConditionalRequestConflict', 412)) {
        throw new ClericError('ERR_FILE_EXISTS', `${name} exists already`, { cause })
      }
      throw asClericError(cause, name)
    }
  }
}

/** The uploads that were begun for an object, and are neither complete nor aborted. */
async function uploadsOf(client: S3Client, { bucket: Bucket, key }: ObjectAddress): Promise<string[]> {
  const ids: string[] = []
  for (let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | null = {}; next; ) {
    const page: ListMultipartUploadsCommandOutput = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: key, ...next }),
    )
    for (const { Key, UploadId } of page.Uploads ?? []) if (Key === key && UploadId) ids.push(UploadId)
    next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : null
  }
  return ids
}
