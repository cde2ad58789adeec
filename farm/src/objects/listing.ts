/** The slides in a bucket, below a prefix. */
import { paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3'
import { type FoundSlide, isSlideName } from 'cleric/internal'
import { addressOf, asClericError, type ObjectAddress } from './client.js'

/** Slides that are many files, whose reader looks for the others beside the first. */
const OF_MANY_FILES = /\.(mrxs|vms|vmu)$/i

/** Whether a slide can be had from a bucket. */
export function isOneObject(key: string): boolean {
  return !OF_MANY_FILES.test(key)
}

/**
 * What a folder of slides would give: a prefix counts as one, whether it ends with a slash or not. Hidden names and
 * slides of many files are left out.
 *
 * @throws ClericError ERR_NETWORK
 */
export async function slidesBelow(client: S3Client, { bucket, key }: ObjectAddress): Promise<FoundSlide[]> {
  const Prefix = key === '' || key.endsWith('/') ? key : `${key}/`
  const slides: FoundSlide[] = []
  try {
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix })) {
      for (const { Key = '' } of Contents) {
        const name = Key.slice(Prefix.length)
        const isHidden = name.split('/').some((part) => part.startsWith('.'))
        if (isSlideName(name) && !isHidden && isOneObject(name))
          slides.push({ path: addressOf({ bucket, key: Key }), name })
      }
    }
  } catch (error) {
    throw asClericError(error, addressOf({ bucket, key }))
  }
  return slides
}
